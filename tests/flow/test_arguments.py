"""What the policy says when it is given what does not fit it: name, expected and given."""

import importlib
import inspect
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from flax import nnx

from rtc.config.sections import MethodConfig
from rtc.errors import ArgumentError, RtcError
from rtc.flow import (
    SCHEDULES,
    FlowPolicy,
    ModelConfig,
    delayed_flow_matching_loss,
    draw_delay,
    flow_steps,
    get_prefix_weights,
    guidance_weight,
    guided_sample,
    initial_noise,
    sample,
)
from rtc.flow.loading import LoadedPolicy
from rtc.methods import METHODS, Stateless, make_method
from rtc.methods.interface import Context
from rtc.types import _arguments, checked

B, N, H, A = 4, 21, 8, 6
KEY = jax.random.key(0)
OBS, CHUNK = jnp.zeros((B, N)), jnp.zeros((B, H, A))
SMALL = ModelConfig(channel_dim=8, channel_hidden_dim=8, token_hidden_dim=8, num_layers=1)
POLICY = FlowPolicy(obs_dim=N, action_dim=A, config=SMALL, rngs=nnx.Rngs(0))
SPECIFICATION = {"indices": list(range(N)), "constants": [0.0] * 679, "names": ["entry"] * N}
LOADED = LoadedPolicy(POLICY, "slope", 1, {"observation": SPECIFICATION})


def realtime(rng=KEY, obs=OBS, steps=2, previous=CHUNK, delay=2, end=5, beta=5.0, **options):
    return POLICY.realtime_action(rng, obs, steps, previous, delay, end, "exp", beta, **options)


@pytest.fixture(autouse=True)
def as_users_have_it(monkeypatch):
    """Without the type checker that holds these tests, and them alone, to every annotation."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


CASES = {
    "a previous chunk without batch": (
        lambda: realtime(previous=CHUNK[0]),
        "prev_action_chunk: expected float [4, 8, 6] (b h a), got float32 [8, 6]",
    ),
    "a previous chunk of one": (
        lambda: realtime(previous=CHUNK[:1]),
        "prev_action_chunk: expected float [4, 8, 6] (b h a), got float32 [1, 8, 6]",
    ),
    "noise of five numbers": (
        lambda: POLICY.action(None, OBS, 2, noise=CHUNK[..., :5]),
        "noise: expected float [4, 8, 6] (b h a), got float32 [4, 8, 5]",
    ),
    "delay 9": (
        lambda: realtime(delay=9),
        "inference_delay: expected a whole number from 0 to 5 (prefix_attention_horizon), got 9",
    ),
    "delay -1": (
        lambda: realtime(delay=-1),
        "inference_delay: expected a whole number from 0 to 5 (prefix_attention_horizon), got -1",
    ),
    "delay beyond the prefix horizon": (
        lambda: realtime(delay=np.int64(4), end=3),
        "inference_delay: expected a whole number from 0 to 3 (prefix_attention_horizon), got 4",
    ),
    "delay 2.5": (lambda: realtime(delay=2.5), "inference_delay: expected int [], got 2.5"),
    "prefix horizon 12": (
        lambda: realtime(end=12),
        "prefix_attention_horizon: expected a whole number from 0 to 8 (chunk), got 12",
    ),
    "beta NaN": (
        lambda: realtime(beta=float("nan")),
        "max_guidance_weight: expected a finite number of at least 0, got nan",
    ),
    "beta infinite": (
        lambda: guidance_weight(jnp.zeros(3), float("inf")),
        "max_guidance_weight: expected a finite number of at least 0, got inf",
    ),
    "no steps": (
        lambda: realtime(steps=0),
        "num_steps: expected a whole number of at least 1, got 0",
    ),
    "minus one step": (
        lambda: POLICY.action(KEY, OBS, -1),
        "num_steps: expected a whole number of at least 1, got -1",
    ),
    "half a step": (
        lambda: flow_steps(POLICY, 2.5),
        "num_steps: expected a whole number of at least 1, got 2.5",
    ),
    "nothing prepared": (
        lambda: POLICY.prepare(0),
        "num_steps: expected a whole number of at least 1, got 0",
    ),
    "a narrow observation": (
        lambda: POLICY.action(KEY, OBS[:, :20], 2),
        "obs: expected float [4, 21] (b o), got float32 [4, 20]",
    ),
    "an observation without batch": (
        lambda: POLICY.action(KEY, OBS[0], 2),
        "obs: expected float [b, 21] (b o), got float32 [21]",
    ),
    "whole numbers": (
        lambda: POLICY.action(KEY, OBS.astype(int), 2),
        "obs: expected float [b, 21] (b o), got int32 [4, 21]",
    ),
    "no key": (
        lambda: POLICY.action(None, OBS, 2),
        "rng: expected a key such as jax.random.key(0), or noise=; got None",
    ),
    "no key for the noise": (
        lambda: initial_noise(POLICY, None, None, B),
        "rng: expected a key such as jax.random.key(0), or noise=; got None",
    ),
    "no key for the time": (
        lambda: POLICY.loss(None, OBS, CHUNK, noise=CHUNK),
        "rng: expected a key such as jax.random.key(0), or time=; got None",
    ),
    "a number for a key": (
        lambda: POLICY.action(0, OBS, 2),
        "rng: expected a key such as jax.random.key(0), got 0",
    ),
    "keys for a key": (
        lambda: POLICY.action(jax.random.split(KEY, B), OBS, 2),
        "rng: expected a key such as jax.random.key(0), got key<fry> [4]",
    ),
    "one weight": (
        lambda: guided_sample(POLICY, OBS, CHUNK, 2, CHUNK, jnp.ones(1), 5.0),
        "weights: expected float [8] (h), got float32 [1]",
    ),
    "weights beyond the chunk": (
        lambda: get_prefix_weights(2, 12, 8, "exp"),
        "end: expected a whole number from 0 to 8 (total), got 12",
    ),
    "noise of another batch": (
        lambda: sample(POLICY, OBS, CHUNK[:2], 2),
        "noise: expected float [4, 8, 6] (b h a), got float32 [2, 8, 6]",
    ),
    "one delay for all": (
        lambda: delayed_flow_matching_loss(
            POLICY, OBS, CHUNK, CHUNK, jnp.zeros(B), jnp.zeros(1, int)
        ),
        "delay: expected int [4] (b), got int32 [1]",
    ),
    "simulated delay 200": (
        lambda: POLICY.loss(KEY, OBS, CHUNK, simulated_delay=200),
        "simulated_delay: expected a whole number from 1 to 8 (chunk), got 200",
    ),
    "no delay to draw": (
        lambda: draw_delay(KEY, 0, B),
        "simulated_delay: expected a whole number of at least 1, got 0",
    ),
    "a time for each token of one sample": (
        lambda: POLICY.velocity(OBS, CHUNK, jnp.zeros(H)),
        "t: expected float [] or float [4] (b) or float [4, 8] (b h), got float32 [8]",
    ),
    "a loaded policy, another level's observation": (
        lambda: LOADED.action(jnp.zeros((B, 28)), KEY),
        "obs: expected 21 entries (those that vary on slope) or 679 (all of Kinetix's), got 28",
    ),
    "a loaded policy, a number": (
        lambda: LOADED.action(np.float32(0.5), KEY),
        "obs: expected float [*b, p], got float32 []",
    ),
    "a loaded policy, no key": (
        lambda: LOADED.action(OBS, None),
        "key: expected a key such as jax.random.key(0), got None",
    ),
    "a loaded policy, no steps": (
        lambda: LOADED.action(OBS, KEY, num_steps=0),
        "num_steps: expected a whole number of at least 1, got 0",
    ),
    "too little to expand": (
        lambda: LOADED.expand(OBS[:, :3]),
        "obs: expected float [4, 21] (*b o), got float32 [4, 3]",
    ),
    "a method's name for its entry": (
        lambda: make_method("naive"),
        "config: expected one such as MethodConfig(method='naive', policy='flow', options={}), "
        "got 'naive'",
    ),
    "no layers": (
        lambda: ModelConfig(num_layers=0),
        "num_layers: expected a whole number of at least 1, got 0",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_name_expected_and_given_in_one_line(case):
    call, message = CASES[case]
    with pytest.raises(ArgumentError) as caught:
        call()
    assert str(caught.value) == message
    assert isinstance(caught.value, ValueError) and isinstance(caught.value, RtcError)


@pytest.mark.parametrize("label", ["naive", "realtime", "bid", "te", "ttrtc", "diffuser_overwrite"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"previous": CHUNK[0]}, r"context.previous: expected float \[4, h, a\] .*got .*\[8, 6\]"),
        ({"previous": CHUNK[:1]}, r"context.previous: expected float \[4, h, a\] .*\[1, 8, 6\]"),
        ({"noise": CHUNK}, r"context.noise: expected float \[k, 4, 8, 6\]"),
        ({"obs": OBS[:, :20]}, r"obs: expected float \[4, 21\]"),
    ],
)
def test_methods_look_at_their_context(label, change, message):
    options = {"realtime": {"schedule": "exp", "beta": 5.0}, "bid": {"samples": 2}}
    options |= {"te": {"m": 0.5}}
    method = make_method(MethodConfig(label, "flow", options.get(label, {})))
    noise = jnp.zeros((method.samples, B, H, A))
    context = Context(OBS, CHUNK, jnp.int32(1), jnp.int32(2), jax.random.split(KEY, B), noise)
    with pytest.raises(ArgumentError, match=message):
        method(POLICY, None, context._replace(**change), method.init(B, H, A), 2)


def test_a_traced_call_is_checked_when_it_is_traced():
    traced = jax.jit(lambda previous: realtime(previous=previous))
    with pytest.raises(ArgumentError, match=r"prev_action_chunk: .* got float32 \[1, 8, 6\]"):
        traced.lower(jax.ShapeDtypeStruct((1, H, A), jnp.float32))
    mapped = jax.vmap(lambda obs: POLICY.action(KEY, obs, 2))
    assert mapped(jnp.zeros((3, B, N))).shape == (3, B, H, A)
    with pytest.raises(ArgumentError, match=r"obs: expected float \[4, 21\]"):
        mapped(jnp.zeros((3, B, 20)))


def test_nothing_of_the_checks_is_left_in_the_program():
    """The very same program as that of the functions beneath the checks."""
    call = FlowPolicy.realtime_action
    programs = [
        jax.jit(lambda obs, noise, delay, f=function: f(
            POLICY, None, obs, 5, noise, delay, 5, "exp", 5.0, noise=noise
        )).lower(OBS, CHUNK, jnp.int32(1)).as_text()
        for function in (call, call.__wrapped__)
    ]  # fmt: skip
    assert programs[0] == programs[1]
    assert "assert" not in programs[0] and "callback" not in programs[0]


def test_arrays_of_numpy_and_scalars_of_any_kind_are_taken():
    class Scale:
        size = 3

        @checked(c="size")
        def by(self, x: "jax.Array", factor: float = 1.0) -> None: ...

    assert Scale.by.checked_arguments == ()  # an annotation without a shape
    loaded = LOADED.action(np.zeros((2, 2, 679), np.float32), jax.random.PRNGKey(1))
    assert loaded.shape == (2, 2, H, A)
    low = OBS.astype(jnp.bfloat16)
    assert POLICY.project_observation(low).shape == (B, 8)
    weights = [get_prefix_weights(*ends, 8, "exp") for ends in ((1, 5), (np.int8(1), jnp.int32(5)))]
    np.testing.assert_array_equal(*weights)


def test_dtypes_hold_under_x64():
    with jax.enable_x64(True):
        chunk = POLICY.action(KEY, OBS, 2)
        guided = realtime()
        loss = POLICY.loss(KEY, OBS, CHUNK, simulated_delay=4)
        weights = [get_prefix_weights(1, 5, 8, kind) for kind in SCHEDULES]
    assert {x.dtype for x in (chunk, guided, loss, *weights)} == {jnp.dtype("float32")}
    np.testing.assert_array_equal(chunk, POLICY.action(KEY, OBS, 2))


# Interfaces, and what cannot get another shape than it checks.
UNCHECKED = (
    "Engine.",
    "Task.",
    "Method.",
    "EveryStep.",
    "Trial.",
    "at_cell",
    "GymnaxEnv.reset_env",
    ".observe",
)
# Without jax: these look at their arrays themselves.
UNCHECKED += ("storage.video.",)
# What a method without state writes: `Stateless.__call__` has checked the same arguments.
UNCHECKED += tuple(f"{kind.__name__}.chunk" for kind in (Stateless, *METHODS.values()))
# Called by the trainer alone, with what it made itself; the losses behind them are checked.
UNCHECKED += ("rtc.training.objectives.",)


def test_every_public_function_with_shapes_is_checked():
    pages = "".join(page.read_text() for page in Path("docs/api").glob("*.md"))
    names = re.findall(r"^::: (\S+)", pages, re.MULTILINE)
    functions = {f: name for name in names for name, f in public(name, resolve(name))}
    shaped = {name: f for f, name in functions.items() if arrays_of(f)}
    assert len(shaped) > 30
    missing = [name for name, f in shaped.items() if not hasattr(f, "checked_arguments")]
    assert [name for name in missing if not any(part in name for part in UNCHECKED)] == []


def arrays_of(function):
    parameters = inspect.signature(function).parameters.values()
    return [argument for i, p in enumerate(parameters) for argument in _arguments(i, p)]


def resolve(name):
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            found = getattr(found, part)
        return found
    raise AssertionError(name)


def public(name, thing):
    """Functions of a module, methods of a class, or the function itself, by name."""
    if inspect.isfunction(thing):
        yield name, thing
    elif inspect.isclass(thing) or inspect.ismodule(thing):
        for part, value in vars(thing).items():
            own = inspect.isclass(thing) or getattr(value, "__module__", "") == thing.__name__
            if own and (part == "__call__" or not part.startswith("_")):
                yield from public(f"{name}.{part}", value)
