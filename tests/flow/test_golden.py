"""The reference's outputs, from its parameters and its noise, within 1e-5."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rtc.flow import (
    SCHEDULES,
    FlowPolicy,
    ModelConfig,
    count_parameters,
    get_prefix_weights,
    named_parameters,
)

TOLERANCE = 1e-5


def close(actual, expected):
    np.testing.assert_allclose(np.asarray(actual), expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("time", ["0.0", "0.37", "1.0"])
def test_velocity(stored, inputs, policy, time):
    t = jnp.float32(time)
    velocity = nnx.jit(FlowPolicy.velocity)
    for times in (t, jnp.full(4, t), jnp.full((4, 8), t)):
        actual = velocity(policy, inputs["obs"], inputs["noise"], times)
        close(actual, stored[f"velocity_t{time}"])


def test_action(stored, inputs, policy):
    close(policy.action(None, inputs["obs"], 5, noise=inputs["noise"]), stored["action"])


def test_realtime_action_of_every_schedule_delay_horizon_and_weight(stored, inputs, policy):
    graph, state = nnx.split(policy)
    compiled = {}

    def realtime(schedule):
        def run(state, delay, end, beta):
            return nnx.merge(graph, state).realtime_action(
                None,
                inputs["obs"],
                5,
                inputs["prev_action_chunk"],
                delay,
                end,
                schedule,
                beta,
                noise=inputs["noise"],
            )

        return jax.jit(run)

    pattern = re.compile(r"realtime_(\w+)_d(\d)_s(\d)_w(\d+)")
    cases = [match for match in map(pattern.fullmatch, stored) if match]
    assert len(cases) == 21
    for case in cases:
        schedule, delay, horizon, beta = case.groups()
        run = compiled.setdefault(schedule, realtime(schedule))
        actual = run(state, int(delay), 8 - int(horizon), float(beta))
        close(actual, stored[case.group()])


def test_loss(stored, inputs, policy):
    actual = policy.loss(
        None,
        inputs["obs"],
        jnp.asarray(stored["loss_action"]),
        noise=jnp.asarray(stored["loss_noise"]),
        time=jnp.asarray(stored["loss_time"]),
    )
    close(actual, stored["loss"])


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_prefix_weights(stored, schedule):
    index = jnp.arange(9, dtype=jnp.int32)
    table = jax.vmap(
        lambda start: jax.vmap(lambda end: get_prefix_weights(start, end, 8, schedule))(index)
    )
    close(jax.jit(table)(index), stored[f"prefix_weights_{schedule}"])


def test_parameters_carry_the_reference_names_under_nnx_state(stored, policy):
    names = {k.removeprefix("params/") for k in stored if k.startswith("params/")}
    pure = nnx.to_pure_dict(nnx.state(policy))
    paths = jax.tree_util.tree_flatten_with_path(pure)[0]
    assert {"/".join(str(part.key) for part in path) for path, _ in paths} == names
    assert set(named_parameters(policy)) == names


def test_the_paper_size_has_its_number_of_parameters():
    policy = FlowPolicy(obs_dim=679, action_dim=6, config=ModelConfig(), rngs=nnx.Rngs(0))
    assert count_parameters(policy) == 3_072_006
