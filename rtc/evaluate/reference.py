"""How fast the agent's own bodies are in a reference play, the measure of kicks."""

import jax
import numpy as np

from rtc.config.sections import Cell
from rtc.errors import ConfigError
from rtc.evaluate.kicks import Kicks
from rtc.evaluate.noise import Streams
from rtc.evaluate.program import CPU_SLOTS, make_plan, make_program, next_chunk
from rtc.evaluate.scene import Scene
from rtc.levels import Level
from rtc.physics.observation import VARYING, own_body_mask
from rtc.types import PyTree

EPISODES = 64


def own_bodies(level: Level) -> np.ndarray:
    """Returns [m] which of the observed bodies are the agent's own.

    Raises ConfigError where none is.
    """
    own = own_body_mask(level)[:: len(VARYING)]
    if not own.any():
        raise ConfigError(
            f"evaluation.kick_probability: {level.name} has no movable body of role none that "
            f"could be kicked; expected 0 on this level"
        )
    return own


def make_kicks(
    scene: Scene, policies: PyTree, streams: Streams, probability: float, scale: float
) -> Kicks:
    """Returns kicks whose speed is `scale` times the median speed of the reference play.

    scene: of naive, without kicks.
    """
    own = own_bodies(scene.env.level)
    speed = scale * median_speed(scene, policies, streams, own)
    return Kicks(probability, speed, own.astype(np.float32))


def median_speed(scene: Scene, policies: PyTree, streams: Streams, own: np.ndarray) -> float:
    """Returns the median speed, in m/s, of bodies `own` [m] over EPISODES without delay.

    Each chunk is executed for half its length; speeds are taken as they are observed then.
    """
    program = make_program(scene, EPISODES, CPU_SLOTS)
    start = program.start(policies, streams)
    size = start.chunks.shape[1]
    plan = make_plan(Cell(0, size // 2, 0), size)
    sweep, carry, speeds = program.begin(start), program.carry(start), []
    while sweep.slots.alive.any():
        sweep, carry = next_chunk(program, policies, streams, plan, start, sweep, carry)
        slots = jax.device_get(sweep.slots._replace(env=()))
        under_way = slots.alive & (slots.tally.length > 0)
        velocity = slots.obs.reshape(CPU_SLOTS, len(own), len(VARYING))[under_way][:, own, 2:4]
        speeds.append(np.linalg.norm(velocity, axis=-1).ravel())
    return float(np.median(np.concatenate(speeds)))
