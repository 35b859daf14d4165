"""A policy folder as training leaves it, with a small network of random parameters."""

import dataclasses

import jax
from flax import nnx

from rtc.flow import FlowPolicy, ModelConfig
from rtc.storage.checkpoints import save_checkpoint
from rtc.storage.io import write_json

MODEL = ModelConfig(
    channel_dim=16, channel_hidden_dim=16, token_hidden_dim=8, num_layers=1, action_chunk_size=8
)


def random_policy(obs_dim, action_dim=6, seed=0):
    """A policy whose every parameter differs from 0, so that time and noise count."""
    policy = FlowPolicy(obs_dim=obs_dim, action_dim=action_dim, config=MODEL, rngs=nnx.Rngs(seed))
    graph, state = nnx.split(policy)
    leaves, tree = jax.tree.flatten(state)
    keys = jax.random.split(jax.random.key(seed), len(leaves))
    noisy = [x + 0.1 * jax.random.normal(key, x.shape) for x, key in zip(leaves, keys)]
    return nnx.merge(graph, jax.tree.unflatten(tree, noisy))


def save_policy(folder, level, obs_dim, epochs=(2, 4)):
    """Writes `folder` with a checkpoint per epoch, of different parameters each."""
    for epoch in epochs:
        policy = random_policy(obs_dim, seed=epoch)
        save_checkpoint(
            folder / "checkpoints" / str(epoch), nnx.to_pure_dict(nnx.state(policy, nnx.Param))
        )
    about = {
        "level": {"name": level.name, "digest": level.digest},
        "obs_dim": obs_dim,
        "action_dim": 6,
        "model": dataclasses.asdict(MODEL),
        "observation": {
            "indices": list(range(obs_dim)),
            "constants": [0.0] * 679,
            "names": [f"entry {index}" for index in range(obs_dim)],
        },
        "kept_epochs": list(epochs),
    }
    write_json(folder / "policy.json", about)
    return folder
