"""Every method of the registry, in every form the config offers, meets the contract."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import jax.numpy as jnp
import pytest
import yaml
from flax import nnx

from rtc.config.sections import MethodConfig, head_config, method_config
from rtc.flow import sample
from rtc.flow.heads import Sizes, make_head
from rtc.methods import METHODS, make_method
from rtc.methods.contract import (
    ACTIONS,
    CHECKS,
    CHUNK,
    OBSERVATIONS,
    ContractError,
    Trial,
    check_method,
    small,
)

ROOT = Path(__file__).parents[2]
EXAMPLES = {"my_method": {"method": "examples.my_method:Blend", "strength": 1.0}}


FILES = [ROOT / "config/config.yaml", *sorted(ROOT.glob("config/*.yaml"))]


def entries() -> dict[str, MethodConfig]:
    """Every different way in which the shipped configurations use a method, and the examples."""
    different: dict[str, MethodConfig] = {}
    for file in FILES:
        for label, entry in (yaml.safe_load(file.read_text()).get("methods") or {}).items():
            if entry is not None and "method" in entry:
                different.setdefault(label, method_config(label, {"policy": "flow"} | entry))
    return different | {k: method_config(k, {"policy": "flow"} | v) for k, v in EXAMPLES.items()}


ENTRIES = entries()
HEADS = {
    name: head_config(name, entry)
    for file in FILES
    for name, entry in (yaml.safe_load(file.read_text()).get("heads") or {}).items()
}


def network(name: str):
    """A network of a head that the shipped configurations train."""
    head = make_head(HEADS[name].head, HEADS[name].options)
    return small(head.network(Sizes(OBSERVATIONS, ACTIONS, CHUNK), nnx.Rngs(0)))


@pytest.fixture(scope="module", params=ENTRIES)
def trial(request):
    entry = ENTRIES[request.param]
    return Trial(make_method(entry, request.param), [network(name) for name in entry.heads])


@pytest.mark.parametrize("check", CHECKS.values(), ids=lambda check: check.__name__)
def test_contract(trial, check):
    check(trial)


def test_every_registered_method_is_tried():
    used = {entry.method for entry in ENTRIES.values()}
    assert used >= set(METHODS), "a registered method needs an entry in a file under config/"


@dataclass(frozen=True)
class Broken:
    """A naive method with one fault, chosen by its field."""

    fault: str
    samples: ClassVar[int] = 1
    keeps_prefix: ClassVar[bool] = True

    def init(self, batch_size, chunk_size, action_dim):
        return jnp.zeros((2,)) if self.fault == "carry" else jnp.zeros((batch_size,))

    def network_evaluations(self, flow_steps):
        return 0 if self.fault == "cost" else flow_steps

    def __call__(self, policy, weak_policy, context, carry, flow_steps, return_tracking=False):
        x_1, tracked = sample(policy, context.obs, context.noise[0], flow_steps, True)
        if self.fault != "prefix":
            given = (jnp.arange(x_1.shape[1]) < context.delay)[None, :, None]
            x_1 = jnp.where(given, context.previous, x_1)
        if self.fault == "shape":
            x_1 = x_1[:, 1:]
        if self.fault == "batch":
            x_1 = x_1 - jnp.mean(x_1, axis=0, keepdims=True)
        if self.fault == "traced":
            x_1 = x_1 * int(context.delay)
        if self.fault == "tracking":
            x_1 = x_1 + return_tracking
        if self.fault == "steps":
            tracked["x_1"] = tracked["x_1"] + 1.0
        return (x_1, carry, tracked) if return_tracking else (x_1, carry)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("cost", "network_evaluations"),
        ("shape", "shape"),
        ("carry", "carry"),
        ("batch", "batch"),
        ("prefix", "prefix"),
        ("tracking", "tracking"),
        ("steps", "steps miss x_1"),
        ("traced", "not traceable"),
    ],
)
def test_the_contract_finds_faults(fault, message):
    with pytest.raises(ContractError, match=message):
        check_method(Broken(fault))


@dataclass(frozen=True)
class Deaf(Broken):
    """Asks for a forecast that it does not use."""

    needs: ClassVar[tuple[str, ...]] = ("forecast",)


@dataclass(frozen=True)
class BrokenStep(Broken):
    """The same at every step."""

    step_evaluations: ClassVar[int] = 1

    def init(self, batch_size, chunk_size, action_dim, obs_dim):
        return jnp.zeros((batch_size, obs_dim))

    def act(self, policy, heads, obs, action, index, carry):
        action = action + carry[:, :1] + index[:, None]
        if self.fault == "act shape":
            action = action[:, :1]
        if self.fault == "act carry":
            obs = obs[:, 0]
        if self.fault == "act batch":
            action = action - jnp.mean(obs)
        if self.fault == "act traced" and index[0] > 3:
            action = action * 2
        return action, obs


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (Deaf("none"), "forecast it needs is not used"),
        (BrokenStep("act shape"), "act gave .*, not"),
        (BrokenStep("act carry"), "carry"),
        (BrokenStep("act batch"), "batch"),
        (BrokenStep("act traced"), "not traceable"),
    ],
    ids=lambda value: getattr(value, "fault", ""),
)
def test_the_contract_finds_faults_of_the_openings(method, message):
    with pytest.raises(ContractError, match=message):
        check_method(method)


def test_the_contract_passes_what_is_right():
    assert check_method(BrokenStep("none")) == list(CHECKS)
