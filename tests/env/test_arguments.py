"""What environments say when they are given what does not fit them: name, expected and given."""

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

from rtc.env import make_env, render
from rtc.env.wrappers import Stack, add_noise, dense_reward, push_history
from rtc.errors import ArgumentError

ENV = make_env("cartpole_thrust")
OTHER = make_env("h17_unicycle")
STATE, ACTION, DONE = ENV.reset(4), jnp.zeros((4, 6)), jnp.zeros(4, bool)
EXPERT = Stack(ENV, 0.1, 4, 1 / 6)


@pytest.fixture(autouse=True)
def as_users_have_it(monkeypatch):
    """Without the type checker that holds these tests, and them alone, to every annotation."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


CASES = {
    "five numbers": (
        lambda: ENV.step(STATE, ACTION[:, :5]),
        "action: expected float [4, 6] (b a), got float32 [4, 5]",
    ),
    "no batch": (
        lambda: ENV.step(STATE, ACTION[0]),
        "action: expected float [b, 6] (b a), got float32 [6]",
    ),
    "one action for four": (
        lambda: ENV.step(STATE, ACTION[:1]),
        "action: expected a batch of 4 like the state's, got 1",
    ),
    "a list": (
        lambda: ENV.step(STATE, [[0.0] * 6] * 4),
        "action: expected float [b, 6] (b a), got list",
    ),
    "another level's state": (
        lambda: ENV.step(OTHER.reset(4), ACTION),
        "state.motion.position.x: expected [2, 4] on this level, got [3, 4]",
    ),
    "all that a step returned": (
        lambda: ENV.step(ENV.step(STATE, ACTION), ACTION),
        "state: expected State of env.reset, got tuple",
    ),
    "nothing to observe": (
        lambda: ENV.observe(None),
        "state: expected State of env.reset, got None",
    ),
    "one flag for four": (
        lambda: ENV.replay(STATE, DONE[:1]),
        "done: expected a batch of 4 like the state's, got 1",
    ),
    "flags as numbers": (
        lambda: ENV.replay(STATE, jnp.zeros(4)),
        "done: expected bool [b], got float32 [4]",
    ),
    "one push for four": (
        lambda: ENV.push(STATE, jnp.zeros((1, 2, 2))),
        "change: expected a batch of 4 like the state's, got 1",
    ),
    "pushes of three bodies": (
        lambda: ENV.push(STATE, jnp.zeros((4, 3, 2))),
        "change: expected float [4, 2, 2] (b m 2), got float32 [4, 3, 2]",
    ),
    "an empty batch": (
        lambda: ENV.reset(0),
        "batch_size: expected a whole number of at least 1, got 0",
    ),
    "a key for a batch": (
        lambda: ENV.reset(jax.random.key(0)),
        "batch_size: expected a whole number of at least 1, got PRNGKeyArray",
    ),
    "too little to expand": (
        lambda: ENV.expand(jnp.zeros((4, 3))),
        "obs: expected float [4, 14] (b o), got float32 [4, 3]",
    ),
    "too little to compress": (
        lambda: ENV.compress(jnp.zeros((4, 14))),
        "full: expected float [4, 679] (b f), got float32 [4, 14]",
    ),
    "one of Kinetix's states": (
        lambda: ENV.from_kinetix(jax.tree.map(lambda x: x[0], ENV.to_kinetix(STATE))),
        "env_state: expected a Kinetix EnvState with polygon.position [b, 12, 2], "
        "got polygon.position [12, 2]",
    ),
    "no state of Kinetix's": (
        lambda: ENV.from_kinetix(STATE),
        "env_state: expected a Kinetix EnvState with polygon.position [b, 12, 2], got State",
    ),
    "to Kinetix from elsewhere": (
        lambda: ENV.to_kinetix(OTHER.reset(4)),
        "state.motion.position.x: expected [2, 4] on this level, got [3, 4]",
    ),
    "a picture of our state": (
        lambda: render.render_states(ENV.level, STATE),
        "env_state: expected a Kinetix EnvState with polygon.position [b, 12, 2], got State",
    ),
    "a third of a picture": (
        lambda: render.render_level("cartpole_thrust", downscale=3),
        "downscale: expected one of (1, 2, 4), got 3",
    ),
    "a picture of floats": (
        lambda: render.save_picture("unwritten.png", np.zeros((4, 5, 3))),
        "picture: expected uint8 [h, w, 3], got float64 [4, 5, 3]",
    ),
    "noise of one": (
        lambda: EXPERT.step(EXPERT.reset(4), ACTION, ACTION[:1]),
        "noise: expected float [4, 6] (b a), got float32 [1, 6]",
    ),
    "five numbers of an expert": (
        lambda: EXPERT.step(EXPERT.reset(4), ACTION[:, :5], ACTION[:, :5]),
        "action: expected float [4, 6] (b a), got float32 [4, 5]",
    ),
    "another stack's input": (
        lambda: EXPERT.current(jnp.zeros((4, 14))),
        "obs: expected float [4, 62] (b d), got float32 [4, 14]",
    ),
    "noise without batch": (
        lambda: add_noise(ACTION, ACTION[0], 0.1),
        "noise: expected float [4, 6] (b a), got float32 [6]",
    ),
    "an observation that the history has not": (
        lambda: push_history(jnp.zeros((4, 62)), jnp.zeros((4, 5)), ACTION),
        "obs: expected a whole number of them in the history's 56 entries without the action, "
        "got 5",
    ),
    "one distance for four": (
        lambda: dense_reward(jnp.zeros(4), jnp.zeros(1), DONE, jnp.zeros(4, int), 1 / 6, 256),
        "distance: expected float [4] (b), got float32 [1]",
    ),
    "scale NaN": (
        lambda: dense_reward(
            jnp.zeros(4), jnp.zeros(4), DONE, jnp.zeros(4, int), float("nan"), 256
        ),
        "scale: expected a finite number, got nan",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_name_expected_and_given_in_one_line(case):
    call, message = CASES[case]
    with pytest.raises(ArgumentError) as caught:
        call()
    assert str(caught.value) == message


def test_kinetix_itself_says_the_same():
    stock = make_env("cartpole_thrust", engine="kinetix")
    with pytest.raises(ArgumentError, match="expected a batch of 2 like the state's, got 3"):
        stock.step(stock.reset(2), jnp.zeros((3, 6)))
    with pytest.raises(ArgumentError, match=r"state: expected EnvState of env\.reset, got State"):
        stock.observe(STATE)


def test_nothing_of_the_checks_is_left_in_the_program():
    """The same program as that of the engine with its checks taken out."""

    def program():
        env = make_env("cartpole_thrust")
        return jax.jit(lambda s, a: env._physics.step(s, a)).lower(STATE, ACTION).as_text()

    checked = program()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rtc.env.specialised.check_state", lambda *_, **__: None)
        assert program() == checked


def test_actions_of_numpy_are_taken():
    _, step = ENV.step(STATE, np.zeros((4, 6), np.float32))
    _, expected = ENV.step(STATE, ACTION)
    np.testing.assert_array_equal(step.obs, expected.obs)
