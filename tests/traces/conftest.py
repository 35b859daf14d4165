"""A trained pair that is quick to compile, and its episodes."""

from types import SimpleNamespace

import pytest

from rtc.evaluate.noise import make_streams
from rtc.levels import load_level
from rtc.traces import Guidance, find_decision, load_trained
from rtc.traces.episode import Player
from rtc.traces.scenes import scene_of
from tests.traces.point_robot import ENV_CONFIG, OBSERVED, ROLLOUTS, PointEnv
from tests.traces.small_policy import save_policy


@pytest.fixture(scope="session")
def level():
    return load_level("cartpole_thrust")


@pytest.fixture(scope="session")
def run(level, tmp_path_factory):
    """A results folder with one policy in it."""
    results = tmp_path_factory.mktemp("run") / "results"
    folder = save_policy(results / "policies" / level.name / "flow" / "seed_0", level, OBSERVED)
    return SimpleNamespace(results=results, folder=folder)


@pytest.fixture(scope="session", autouse=True)
def point_robot():
    """Lets everything here run on the made-up engine."""
    patch = pytest.MonkeyPatch()
    patch.setattr("rtc.traces.scenes.make_env", lambda level, engine, reward: PointEnv(level))
    yield
    patch.undo()


@pytest.fixture(scope="session")
def trained(level, run, point_robot):
    return load_trained(level, ENV_CONFIG, run.folder)


@pytest.fixture(scope="session")
def guidance():
    return Guidance(delay=3, horizon=5, flow_steps=6, schedule="exp", beta=5.0)


@pytest.fixture(scope="session")
def played(trained, guidance, level):
    """What realtime did, and the scene it did it in."""
    scene, policies = scene_of(trained, "realtime", guidance)
    streams = make_streams(0, level.name, 0)
    player = Player(scene, streams, guidance.delay, guidance.horizon, rollouts=ROLLOUTS, draw=False)
    pieces = list(player.pieces(policies, player.start(policies)[0]))
    return SimpleNamespace(
        scene=scene, policies=policies, streams=streams, player=player, pieces=pieces
    )


@pytest.fixture(scope="session")
def decision(trained, guidance):
    return find_decision(trained, guidance, seed=0)
