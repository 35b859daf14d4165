"""A toy environment with the interface of `rtc.make_env`, and experts of it, made not trained."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import yaml

from rtc.config.sections import DatasetConfig, EnvConfig, ExpertConfig, build
from rtc.env import Step
from rtc.experts.actor_critic import init_actor_critic
from rtc.experts.expert import expert_info
from rtc.levels import load_level
from rtc.storage.checkpoints import save_checkpoint
from rtc.storage.io import write_json

OBS = 3
DEFAULT = Path(__file__).parents[2] / "config" / "config.yaml"


class ToyEnv:
    """Observation [time, last motor, last thruster]; the episode ends after 5 to 9 steps, later
    the larger the motor action, and is solved if the thruster pushed hard in the last."""

    observation_size = OBS
    action_size = 6
    printable = False
    observation_spec = ("time", "motor", "thruster")
    observation_indices = np.array([2, 5, 6])
    observation_constants = np.arange(8, dtype=np.float32)

    def __init__(self, level):
        self.level = level

    def reset(self, batch_size):
        return jnp.zeros((batch_size, OBS))

    def observe(self, state):
        return state

    def step(self, state, action):
        time = state[:, 0] + 1
        state = jnp.stack([time, action[:, 0], action[:, 4]], axis=1)
        done = time >= 7 + jnp.round(2 * jnp.clip(action[:, 0], -1, 1))
        solved = action[:, 4] > 0.5
        reward = jnp.where(done, jnp.where(solved, 1.0, -1.0), 0.0)
        return state, Step(state, reward, done, solved, jnp.ones_like(time))

    def replay(self, state, done):
        return jnp.where(done[:, None], 0.0, state)


@pytest.fixture(scope="session")
def level():
    return load_level("cartpole_thrust")


@pytest.fixture
def toy_env(monkeypatch, level):
    """The stage plays in the toy environment."""
    monkeypatch.setattr("rtc.datasets.collect.make_env", lambda level, **_: ToyEnv(level))
    return ToyEnv(level)


@pytest.fixture(scope="session")
def env_config() -> EnvConfig:
    return EnvConfig(engine="specialised", action_noise=0.1, reward="reference")


@pytest.fixture(scope="session")
def config() -> DatasetConfig:
    return DatasetConfig(
        transitions=1000, num_envs=10, min_solve_rate=0.65, action_std=1.0, rows_per_group=320
    )


@pytest.fixture(scope="session")
def default():
    """The section `experts` of the default configuration."""
    return yaml.safe_load(DEFAULT.read_text())["experts"]


@pytest.fixture
def make_expert(tmp_path, level, env_config, default):
    """make_expert(seed, {update: solve_rate}) writes an expert's folder.

    Its motor goes to `seed` times 0.2 and hardly varies, so rows tell who played.
    """

    def make(seed: int, rates: dict[int, float], hidden: int = 8, where: str = "experts") -> Path:
        folder = tmp_path / where / f"seed_{seed}"
        params = init_actor_critic(jax.random.key(seed), 4 * OBS + 6, 6, (hidden,))
        head = params.actor[-1]._replace(bias=jnp.arctanh(jnp.full(6, 0.2 * seed)))
        params = params._replace(
            actor=(params.actor[0], head._replace(kernel=0 * head.kernel)),
            log_std=jnp.full(6, -4.0),
        )
        for update in rates:
            save_checkpoint(folder / "checkpoints" / str(update), params)
        rows = [
            {
                "update": update,
                "env_steps": 100 * update,
                "solve_rate": rate,
                "return_mean": rate,
                "length_mean": 7.0,
            }
            for update, rate in rates.items()
        ]
        learning = build(ExpertConfig, default | {"hidden_sizes": [hidden]}, "experts")
        built = ToyEnv(level)
        info = expert_info(built, env_config, learning, seed, rows, "budget", None)
        write_json(folder / "expert.json", info)
        return folder

    return make
