"""Artifacts as the reference's scripts write them, small but for the 679 observation entries."""

import json
import pickle
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from rtc.exchange.names import observation_info, unflatten
from rtc.levels import Level, load_level

FULL, ACT, HISTORY = 679, 6, 4


@pytest.fixture(scope="session")
def level() -> Level:
    return load_level("h17_unicycle")


@pytest.fixture(scope="session")
def observation(level):
    return observation_info(level)


def expand(observation, obs):
    """[..., o] -> [..., 679], by the definition."""
    full = np.broadcast_to(np.float32(observation["constants"]), (*obs.shape[:-1], FULL)).copy()
    full[..., observation["indices"]] = obs
    return full


def policy_arrays(seed: int, obs_dim: int = FULL) -> dict[str, np.ndarray]:
    """Parameters of a small flow policy of the reference by name."""
    rng = np.random.default_rng(seed)
    c, hidden, token, tokens = 16, 24, 12, 8
    shapes = {
        "in_proj/kernel": (ACT + obs_dim, c), "in_proj/bias": (c,),
        "time_mlp/layers/0/kernel": (c, c), "time_mlp/layers/0/bias": (c,),
        "time_mlp/layers/2/kernel": (c, c), "time_mlp/layers/2/bias": (c,),
        "final_adaln/kernel": (c, 2 * c), "final_adaln/bias": (2 * c,),
        "out_proj/kernel": (c, ACT), "out_proj/bias": (ACT,),
    }  # fmt: skip
    for layer in range(2):
        for name, shape in {
            "token_mix_in/kernel": (tokens, token), "token_mix_out/kernel": (token, tokens),
            "channel_mix_in/kernel": (c, hidden), "channel_mix_out/kernel": (hidden, c),
            "adaln_1/kernel": (c, 3 * c), "adaln_1/bias": (3 * c,),
            "adaln_2/kernel": (c, 3 * c), "adaln_2/bias": (3 * c,),
        }.items():  # fmt: skip
            shapes[f"mlp_stack/{layer}/{name}"] = shape
    return {n: rng.normal(scale=0.2, size=s).astype(np.float32) for n, s in shapes.items()}


def expert_arrays(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    sizes = {"actor": (HISTORY * FULL + ACT, 8, 8, ACT), "critic": (HISTORY * FULL + ACT, 8, 8, 1)}
    arrays = {"logstd": rng.normal(size=ACT).astype(np.float32)}
    for network, widths in sizes.items():
        for i in range(3):
            shape = widths[i : i + 2]
            kernel = rng.normal(scale=0.1, size=shape).astype(np.float32)
            arrays[f"{network}/layers/{2 * i}/kernel"] = kernel
            arrays[f"{network}/layers/{2 * i}/bias"] = rng.normal(size=shape[1]).astype(np.float32)
    return arrays


def pickle_as_reference(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Nested dicts with integer keys for lists, jax arrays as leaves, the default protocol."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tree = unflatten({name: np.asarray(array) for name, array in arrays.items()})

    def to_jax(node):
        return (
            {k: to_jax(v) for k, v in node.items()} if isinstance(node, dict) else jnp.array(node)
        )

    path.write_bytes(pickle.dumps(to_jax(tree)))


def stats(solve_rate: float) -> dict[str, float]:
    return {
        "pg_loss": -0.01,
        "loss": 0.123456789012345,
        "returned_episode_returns": 2 * solve_rate - 1,
        "returned_episode_lengths": 101.25,
        "returned_episode_solved": solve_rate,
        "reward": 0.001,
    }


def dataset_arrays(observation, steps: int = 30, envs: int = 4) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    obs = rng.normal(size=(steps, envs, len(observation["indices"]))).astype(np.float32)
    done = rng.random((steps, envs)) < 0.1
    return {
        # Constants as another compiler would round them.
        "obs": expand(
            {**observation, "constants": np.float32(observation["constants"]) * (1 + 1e-7)}, obs
        ),
        "action": rng.normal(size=(steps, envs, ACT)).astype(np.float32),
        "done": done,
        "solved": done & (rng.random((steps, envs)) < 0.5),
        "return_": rng.normal(size=(steps, envs)).astype(np.float32),
        "length": rng.integers(0, 256, size=(steps, envs)).astype(np.int32),
    }


@pytest.fixture(scope="session")
def reference_folder(tmp_path_factory, observation) -> Path:
    """expert/seed_*/<update>, expert/data and bc/<epoch> of one level."""
    root = tmp_path_factory.mktemp("reference")
    name = "worlds_l_h17_unicycle"
    for seed in (0, 1):
        for number, rate in ((0, 0.1), (20, 0.7), (40, 0.9)):
            folder = root / "expert" / f"seed_{seed}" / str(number)
            pickle_as_reference(
                folder / "policies" / f"{name}.pkl", expert_arrays(100 * seed + number)
            )
            (folder / "stats").mkdir()
            (folder / "stats" / f"{name}.json").write_text(json.dumps(stats(rate), indent=2))
    (root / "expert" / "data").mkdir()
    np.savez(root / "expert" / "data" / f"{name}.npz", **dataset_arrays(observation))
    for epoch in (7, 31):
        pickle_as_reference(
            root / "bc" / str(epoch) / "policies" / f"{name}.pkl", policy_arrays(epoch)
        )
    return root
