"""Heads: the network that corrects actions, and a head written and loaded again."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import rtc
from rtc.errors import ArgumentError, ArtifactError, ConfigError
from rtc.flow.heads import Correction, HeadRows, Sizes, make_head
from rtc.storage.checkpoints import save_checkpoint
from rtc.storage.io import write_json

SIZES = Sizes(obs_dim=5, action_dim=6, action_chunk_size=8)
OPTIONS = {"hidden_sizes": [16, 16], "observation_history": 2}


def rows(batch=4):
    keys = jax.random.split(jax.random.key(0), 4)
    shapes = ((batch, 2, 5), (batch, 6), (batch, 6), (batch, 6))
    history, last, action, label = map(jax.random.normal, keys, shapes)
    return HeadRows(history, last, action, jnp.arange(batch, dtype=jnp.int32), label)


def changed_by_training(kind):
    """A network after some steps of gradient descent on `rows`, and the losses on the way."""
    graph, params = nnx.split(kind.network(SIZES, nnx.Rngs(1)))
    step = jax.jit(jax.value_and_grad(lambda p: kind.loss(nnx.merge(graph, p), rows())))
    losses = []
    for _ in range(30):
        loss, grads = step(params)
        params = jax.tree.map(lambda p, g: p - 0.1 * g, params, grads)
        losses.append(float(loss))
    return nnx.merge(graph, params), losses


def test_a_new_correction_is_zero_and_learns_the_labels():
    kind = make_head("correction", OPTIONS)
    network, losses = changed_by_training(kind)
    given = rows()[:-1]
    assert not kind.network(SIZES, nnx.Rngs(1))(*given).any()
    assert losses[0] == pytest.approx(float(jnp.mean((rows().action - rows().label) ** 2)))
    assert losses[-1] < 0.3 * losses[0]
    # Every input counts, the place in the chunk too.
    for place in range(4):
        other = [x + 1 if i == place else x for i, x in enumerate(given)]
        assert float(jnp.abs(network(*other) - network(*given)).max()) > 1e-3


def test_arguments_that_do_not_fit_are_refused():
    network = Correction((16,), 2).network(SIZES, nnx.Rngs(0))
    history, last, action, index, _ = rows()
    with pytest.raises(ArgumentError, match=r"obs_history: expected float \[4, 2, 5\]"):
        network(history[:, :1], last, action, index)
    with pytest.raises(ArgumentError, match="last_action: expected float"):
        network(history, last[:, :3], action, index)


def test_a_head_is_loaded_as_it_was(tmp_path):
    kind = make_head("correction", OPTIONS)
    network, _ = changed_by_training(kind)
    folder = tmp_path / "heads/slope/a2c2/seed_0"
    save_checkpoint(folder / "checkpoints/3", nnx.to_pure_dict(nnx.state(network)))
    info = {"level": "slope", "policy": "flow", "head": "correction", "options": OPTIONS}
    write_json(folder / "head.json", info | {"sizes": SIZES._asdict()})
    loaded = rtc.load_head(folder)
    np.testing.assert_array_equal(loaded.network(*rows()[:-1]), network(*rows()[:-1]))
    assert loaded.kind == Correction((16, 16), 2) and loaded.info["policy"] == "flow"


def test_what_is_no_head_is_named(tmp_path):
    with pytest.raises(ArtifactError, match=r"head.json: missing; run: "):
        rtc.load_head(tmp_path)
    (tmp_path / "head.json").write_text("{}")
    with pytest.raises(ArtifactError, match=r"head.json: no key 'level'"):
        rtc.load_head(tmp_path)
    with pytest.raises(
        ConfigError, match=r"heads.mine.head: unknown head 'corection'; did you mean"
    ):
        make_head("corection", {}, "heads.mine")
    with pytest.raises(ConfigError, match="hidden_size: unknown key; did you mean 'hidden_sizes'"):
        make_head("correction", {"hidden_size": 3}, "heads.mine")
