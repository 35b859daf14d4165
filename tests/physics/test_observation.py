"""Which entries of an observation belong to the agent's own bodies."""

import numpy as np

from rtc.levels import load_level
from rtc.physics.observation import observation_spec, own_body_mask


def own(name):
    """Names of the bodies whose entries the mask chooses, in order, and how many of each."""
    level = load_level(name)
    chosen = np.array(observation_spec(level).names)[own_body_mask(level)]
    bodies = [entry.split(":")[0] for entry in chosen]
    return {body: bodies.count(body) for body in bodies}


def test_own_bodies_are_those_that_move_and_have_no_role():
    # The arm and the cart; not the balls to be caught, the goal and what is to be avoided.
    assert own("catcher_v3") == {"polygon 6": 7, "polygon 7": 7}
    # Beam and wheel; the green circle rides along.
    assert own("h17_unicycle") == {"polygon 4": 7, "circle 0": 7}
    # The green torso is no own body, though it is the robot's.
    assert "polygon 11" not in own("mjc_walker") and len(own("mjc_walker")) == 6
