"""Strictness under test only: shapes checked, no silent broadcasting, one compilation cache."""

import os
import signal
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "rtc" / "jax"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(CACHE))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.5")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# A shell without job control starts what it puts in the background deaf to Ctrl-C, and all its
# children too; the tests that interrupt a run need ears.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

from jaxtyping import install_import_hook  # noqa: E402

# The physics takes constants of a level as numpy arrays where it takes traced ones too, which its
# annotations do not spell out; its tests compare numbers instead.
PACKAGE = Path(__file__).parents[1] / "rtc"
install_import_hook(
    [f"rtc.{path.stem}" for path in PACKAGE.iterdir() if path.stem not in ("physics", "__init__")],
    "beartype.beartype",
)

import jax  # noqa: E402
import pytest  # noqa: E402

jax.config.update("jax_numpy_rank_promotion", "raise")


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="run the long tests too")


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--long"):
        deselected = [item for item in items if "long" in item.keywords]
        config.hook.pytest_deselected(items=deselected)
        items[:] = [item for item in items if "long" not in item.keywords]


@pytest.fixture(scope="session")
def golden() -> Path:
    """Folder of reference outputs (arrays only)."""
    return Path(__file__).parent / "golden"
