"""Every method of the registry, in every form the config offers, meets the contract."""

from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
import pytest

from rtc.config.sections import MethodConfig
from rtc.flow import sample
from rtc.methods import METHODS, make_method
from rtc.methods.contract import CHECKS, ContractError, Trial, check_method

ENTRIES = {
    "naive": ("naive", {}),
    "realtime": ("realtime", {"schedule": "exp", "beta": 5.0}),
    "realtime linear": ("realtime", {"schedule": "linear", "beta": 2.0}),
    "hard_masking": ("realtime", {"schedule": "zeros", "beta": 5.0}),
    "realtime identity": ("realtime", {"schedule": "ones", "beta": 5, "jacobian": "identity"}),
    "bid": ("bid", {"samples": 4, "keep": 2, "weak_epoch": 8}),
    "bid_rejection": ("bid", {"samples": 3}),
    "te": ("te", {"m": 0.01}),
    "ttrtc": ("ttrtc", {}),
    "diffuser_overwrite": ("diffuser_overwrite", {}),
    "my_method": ("examples.my_method:Blend", {"strength": 1.0}),
}


@pytest.fixture(scope="module", params=ENTRIES, ids=lambda name: name.replace(" ", "-"))
def trial(request):
    method, options = ENTRIES[request.param]
    return Trial(make_method(MethodConfig(method, "flow", options), request.param))


@pytest.mark.parametrize("check", CHECKS.values(), ids=lambda check: check.__name__)
def test_contract(trial, check):
    check(trial)


def test_every_registered_method_is_tried():
    assert {method for method, _ in ENTRIES.values()} >= set(METHODS)


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
