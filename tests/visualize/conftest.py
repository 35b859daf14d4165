"""Runs and episodes to draw."""

import pytest

from tests.visualize.made_up import made_up_episode, made_up_run


@pytest.fixture
def guided():
    return made_up_run(True)


@pytest.fixture
def plain():
    return made_up_run(False)


@pytest.fixture
def episodes():
    return {"naive": made_up_episode(), "realtime": made_up_episode(steps=33, smooth=True)}
