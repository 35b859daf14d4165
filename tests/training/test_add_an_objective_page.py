"""docs/add-an-objective.md shows the examples as they are, and they train and run."""

import dataclasses
import json
from pathlib import Path

import jax
import numpy as np
import pandas as pd
from flax import nnx

from examples.my_training import EarlyActions
from rtc.config.sections import HeadConfig
from rtc.flow import FlowPolicy, ModelConfig, flow_matching_loss
from rtc.flow.heads import HeadRows, Sizes, make_head
from rtc.training import train_policies
from rtc.training.heads import fit

ROOT = Path(__file__).parents[2]


def test_the_page_shows_the_example_file():
    example = (ROOT / "examples/my_training.py").read_text()
    page = (ROOT / "docs/add-an-objective.md").read_text()
    shown = [part.split("```")[0] for part in page.split("```python\n")[1:]]
    classes = [part for part in shown if part.startswith("@dataclass")]
    assert len(classes) == example.count("\n@dataclass")
    assert all(part in example for part in classes)
    exec(shown[-1], {})  # The contract, for both methods.


def test_the_objective_trains_a_policy(config, dataset, tmp_path):
    own = {"objective": "examples.my_training:EarlyActions", "fade": 0.5}
    config = dataclasses.replace(config, objective=own)
    train_policies("toy", dataset, config, [0], [tmp_path], root_seed=0)
    losses = pd.read_csv(tmp_path / "progress.csv")["loss"]
    assert losses.iloc[-1] < losses.iloc[0]
    assert json.loads((tmp_path / "policy.json").read_text())["config"]["objective"] == own


def test_the_objective_weighs_early_actions():
    sizes = ModelConfig(
        channel_dim=8, channel_hidden_dim=8, token_hidden_dim=8, num_layers=1, action_chunk_size=8
    )
    policy = FlowPolicy(obs_dim=5, action_dim=2, config=sizes, rngs=nnx.Rngs(0))
    keys = jax.random.split(jax.random.key(0), 3)
    obs, action = jax.random.normal(keys[0], (4, 5)), jax.random.normal(keys[1], (4, 8, 2))
    drawn = EarlyActions(1.0).draw(keys[2], action.shape)
    given = policy, obs, action, drawn
    plain = flow_matching_loss(policy, obs, action, drawn["noise"], drawn["time"])
    np.testing.assert_allclose(EarlyActions(1.0).loss(*given), plain, rtol=1e-5)
    changed = policy, obs, action.at[:, 7].set(50.0), drawn
    assert EarlyActions(1.0).loss(*changed) > 10 * plain
    np.testing.assert_allclose(
        EarlyActions(0.0).loss(*changed), EarlyActions(0.0).loss(*given), rtol=0.2
    )


def test_the_head_learns_a_drift():
    rng = np.random.default_rng(0)
    history, last, action = (
        rng.normal(size=(512, *shape)).astype(np.float32) for shape in ((1, 3), (2,), (2,))
    )
    label = 0.5 * action + history[:, 0, :2]
    rows = HeadRows(history, last, action, np.zeros(512, np.int32), label)
    kind = make_head("examples.my_training:Drift", {})
    config = HeadConfig(
        *("drift", "flow", {}, "policy"),
        transitions=512,
        num_envs=1,
        epochs=100,
        batch_size=64,
        learning_rate=1e-2,
        weight_decay=0.0,
    )
    network = kind.network(Sizes(3, 2, 8), nnx.Rngs(0))
    network, _ = fit(kind, network, rows, config, jax.random.key(0), "drift")
    expected = np.zeros((5, 2))
    expected[[0, 1, 3, 4], [0, 1, 0, 1]] = [1, 1, -0.5, -0.5]
    np.testing.assert_allclose(network.kernel[...], expected, atol=0.01)
