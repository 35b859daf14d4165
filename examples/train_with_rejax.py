"""Trains rejax's PPO on a level, through the adapter to gymnax's calling convention.

    python examples/train_with_rejax.py
    python examples/train_with_rejax.py --level mjc_swimmer --steps 3_000_000 --seeds 4

Needs: pip install rejax, which knows nothing of this project and takes steps of five values, as
before gymnax 1.0. A PureJaxRL loop takes the same environment.
"""

import functools
import math

import jax
import rejax
import tyro

import rtc
from rtc.env.gymnax_adapter import FiveValues, GymnaxEnv
from rtc.env.wrappers import dense_reward

ROLLOUT_STEPS = 64  # of each environment in one update
PARTS = 10
DISTANCE_SCALE = 1 / 6  # reward lost per metre to the goal over a whole episode


def main(
    level: str = "h17_unicycle", steps: int = 1_000_000, envs: int = 256, seeds: int = 1
) -> None:
    """Prints episode return and length after each tenth of the training.

    Args:
        level: name or file of a level
        steps: environment steps of each seed, rounded up to whole updates
        envs: environments stepped at once
        seeds: trained side by side; all their environments are one batch of the engine
    """
    scene = rtc.load_level(level)
    limit = scene.params.max_timesteps
    shaped = functools.partial(dense_reward, scale=DISTANCE_SCALE, max_timesteps=limit)
    update = envs * ROLLOUT_STEPS
    part = math.ceil(steps / PARTS / update) * update
    algorithm = rejax.PPO.create(
        env=FiveValues(GymnaxEnv(scene, shape_reward=shaped)),
        num_envs=envs,
        num_steps=ROLLOUT_STEPS,
        num_minibatches=8,
        num_epochs=4,
        learning_rate=3e-4,
        gamma=0.995,
        gae_lambda=0.9,
        ent_coef=0.0,
        max_grad_norm=1.0,
        total_timesteps=PARTS * part,
        eval_freq=part,
        normalize_observations=True,
        skip_initial_evaluation=True,
        agent_kwargs={"hidden_layer_sizes": (256, 256), "activation": "tanh"},
    )
    keys = jax.random.split(jax.random.key(0), seeds)
    _, (lengths, returns) = jax.jit(jax.vmap(algorithm.train))(keys)
    print("    steps  return  length   (mean of 128 episodes of each seed)")
    means = zip(lengths.mean((0, 2)), returns.mean((0, 2)))
    for parts, (length, episode_return) in enumerate(means, start=1):
        print(f"{parts * part:9,} {episode_return:7.2f} {length:7.1f}")


if __name__ == "__main__":
    tyro.cli(main)
