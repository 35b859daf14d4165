"""A trained pair that is quick to compile: the toy robot of the evaluation's tests."""

import sys
from pathlib import Path

from rtc.config import EnvConfig

sys.path.append(str(Path(__file__).parents[1] / "evaluate"))

ENV_CONFIG = EnvConfig(engine="specialised", action_noise=0.1, reward="reference")
