"""A decision, and the API of tracking on its policy."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rtc.errors import ArtifactError, ConfigError
from rtc.traces import find_decision, load_trained, short_prefix
from rtc.traces.decision import most_to_do
from rtc.visualize import plot_rtc_comparison
from tests.traces.point_robot import ENV_CONFIG

STEPS, HORIZON, DIMS = 6, 8, 6
PER_STEP = {"x_t", "v_t", "x_1_pred"}
GUIDED = PER_STEP | {"correction", "error"}


def test_both_runs_are_tracked_in_full(decision):
    plain = {"time", "noise", "x_1"}
    assert set(decision.plain) == PER_STEP | plain
    assert set(decision.guided) == GUIDED | plain | {
        "guidance_weight",
        "weights",
        "prev_action_chunk",
    }
    for name in GUIDED:
        assert decision.guided[name].shape == (STEPS, 1, HORIZON, DIMS)
    assert decision.guided["weights"].shape == (HORIZON,)
    np.testing.assert_allclose(decision.guided["time"], np.arange(STEPS) / STEPS, atol=1e-7)


def test_both_begin_with_the_same_noise_and_can_be_compared(decision):
    np.testing.assert_array_equal(decision.guided["noise"], decision.plain["noise"])
    plot_rtc_comparison(decision.guided, decision.plain)


def test_the_steps_add_up_to_the_chunk(decision):
    guided, plain = decision.guided, decision.plain
    summed = guided["noise"] + (guided["v_t"] + guided["correction"]).sum(axis=0) / STEPS
    np.testing.assert_allclose(summed, guided["x_1"], atol=1e-5)
    summed = plain["noise"] + plain["v_t"].sum(axis=0) / STEPS
    np.testing.assert_allclose(summed, plain["x_1"], atol=1e-5)


def test_the_previous_chunk_was_really_in_execution(decision, guidance):
    episode = decision.timelines["realtime"]
    assert decision.step > 0
    assert decision.step % guidance.horizon == 0
    executed = episode.actions[decision.step : decision.step + guidance.delay]
    previous = decision.guided["prev_action_chunk"][0]
    np.testing.assert_array_equal(previous[: len(executed)], executed)
    assert not previous[HORIZON - guidance.horizon :].any()


def test_guidance_brings_the_chunk_to_the_previous_one(decision, guidance):
    previous = decision.guided["prev_action_chunk"][0, : guidance.delay]
    guided = np.abs(decision.guided["x_1"][0, : guidance.delay] - previous).mean()
    plain = np.abs(decision.plain["x_1"][0, : guidance.delay] - previous).mean()
    assert guided < 0.5 * plain


def test_that_decision_is_taken_where_guidance_has_most_to_do(trained, played, guidance, decision):
    policy, used = trained.loaded.policy, np.arange(DIMS) >= 4
    pieces = played.pieces
    apart = []
    for piece in pieces[1:-1]:
        obs, noise = jnp.asarray(piece.obs[:1]), jnp.asarray(piece.noise[:1])
        chunk = policy.action(None, obs, STEPS, noise=noise)
        weights = decision.guided["weights"][:, None]
        difference = (weights * (piece.previous[0] - np.asarray(chunk[0])))[:, used]
        apart.append(np.linalg.norm(difference))
    assert most_to_do(policy, pieces, guidance, used) == 1 + int(np.argmax(apart))
    assert most_to_do(policy, pieces[:1], guidance, used) == 0


@pytest.mark.parametrize("tracked", ["realtime_action", "action"])
def test_tracking_changes_no_bit_of_the_chunk(trained, played, tracked):
    piece = played.pieces[1]
    graph, parameters = nnx.split(trained.loaded.policy)
    options = {
        "prev_action_chunk": jnp.asarray(piece.previous),
        "inference_delay": 3,
        "prefix_attention_horizon": 3,
        "prefix_attention_schedule": "exp",
        "max_guidance_weight": 5.0,
    }
    options = options if tracked == "realtime_action" else {}

    def chunk(parameters, **tracking):
        sampler = getattr(nnx.merge(graph, parameters), tracked)
        obs, noise = jnp.asarray(piece.obs), jnp.asarray(piece.noise)
        return sampler(rng=None, obs=obs, num_steps=STEPS, noise=noise, **options, **tracking)

    plain = jax.jit(chunk)(parameters)
    action, steps = jax.jit(lambda p: chunk(p, return_tracking=True))(parameters)
    np.testing.assert_array_equal(action, plain)
    np.testing.assert_array_equal(steps["x_1"], plain)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"horizon": 9}, "horizon: expected 1 to 8 steps"),
        ({"delay": 6}, r"delay: expected 0 to 5 steps \(the horizon\), got 6"),
        ({"delay": -1}, "delay: expected 0 to 5"),
        ({"flow_steps": 0}, "flow_steps: expected at least 1"),
        ({"beta": -1.0}, "beta: expected a number from 0 to 1,000,000, got -1.0"),
        ({"schedule": "expo"}, "schedule: expected one of exp, .*got 'expo'; did you mean 'exp'"),
    ],
)
def test_impossible_guidance_is_named(changes, message, trained, guidance):
    with pytest.raises(ConfigError, match=message):
        find_decision(trained, guidance._replace(**changes), seed=0)


def test_a_short_prefix_says_exactly_what_happens():
    assert short_prefix(3, 5, 8) == ""
    text = short_prefix(3, 6, 8)
    assert text.startswith("delay 3 with horizon 6 leaves a prefix of 2: ")
    assert "guidance holds 2 steps with weight 1 and none softly" in text
    assert "for the last 1 of the 3 steps the zeros that pad the previous chunk" in text
    assert text.endswith("A horizon of at most 5 avoids this.")


def test_a_policy_of_another_level_is_refused(run, level):
    with pytest.raises(ArtifactError, match="was trained on cartpole_thrust, not on other"):
        load_trained(replace(level, name="other"), ENV_CONFIG, run.folder)
