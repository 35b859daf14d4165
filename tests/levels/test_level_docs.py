"""docs/add-a-level.md: its examples load, and it describes every key."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from rtc.levels import bodies, links, load_level, yaml_level
from rtc.levels.sources import packaged_levels

GUIDE = (Path(__file__).parents[2] / "docs" / "add-a-level.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=["changes", "json", "push"])
def test_example_loads(example, tmp_path):
    shutil.copy(packaged_levels()["l/mjc_hopper"], tmp_path / "drone.json")
    (tmp_path / "push.yaml").write_text(example)
    level = load_level(tmp_path / "push.yaml", solvable=True)
    assert level["joint/active"].any()


def test_worked_example_is_a_task(tmp_path):
    (tmp_path / "push.yaml").write_text(EXAMPLES[-1])
    level = load_level(tmp_path / "push.yaml")
    roles = [*level["polygon_shape_roles"], *level["circle_shape_roles"]]
    assert [roles.count(role) for role in (1, 2, 3)] == [1, 1, 1]
    np.testing.assert_allclose(level["joint/motor_speed"][:2], -2)
    np.testing.assert_allclose(level["thruster/relative_position"][0], [-0.3, 0], atol=1e-6)


@pytest.mark.parametrize(
    "keys",
    [yaml_level.LEVEL_KEYS, bodies.BODY_KEYS, links.JOINT_KEYS, links.THRUSTER_KEYS],
    ids=["level", "body", "joint", "thruster"],
)
def test_every_key_has_its_row(keys):
    rows = [line.split("|")[1] for line in GUIDE.splitlines() if line.startswith("|")]
    named = {name for row in rows for name in re.findall(r"`([a-z_]+)`", row)}
    assert set(keys) <= named
