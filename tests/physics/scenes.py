"""Small scenes for tests: written as level files, set in motion, and followed body by body."""

from functools import cached_property
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import yaml

from rtc.env import make_env
from rtc.levels import Level, load_level
from rtc.physics.scene import analyse

FIRST_POLYGON, FIRST_CIRCLE = 4, 12  # of a scene of size l, after floor, walls and ceiling


class Laboratory:
    """An environment of one scene, one substep a step, whose bodies are called by name."""

    def __init__(self, folder: Path, scene: dict) -> None:
        path = folder / "laboratory.yaml"
        path.write_text(yaml.safe_dump({"frame_skip": 1, **scene}, sort_keys=False))
        self.level: Level = load_level(path)
        self.env = make_env(self.level)
        self.dt = self.level.params.dt
        kinds = {"polygon": FIRST_POLYGON, "circle": FIRST_CIRCLE}
        table = analyse(self.level)
        self.rows, self.bodies = {}, {}
        for name, keys in scene["bodies"].items():
            kind = "circle" if "circle" in keys else "polygon"
            self.bodies[name] = kinds[kind]
            self.rows[name] = table.row(kinds[kind])
            kinds[kind] += 1

    def of(self, name: str, field: str) -> float:
        """A body's number in the level, such as its inverse mass."""
        body = self.bodies[name]
        kind, index = ("polygon", body) if body < 12 else ("circle", body - 12)
        return float(self.level[f"{kind}/{field}"][index])

    def mass(self, name: str) -> float:
        """kg."""
        return 1 / self.of(name, "inverse_mass")

    def inertia(self, name: str) -> float:
        """About the centre, kg m^2."""
        return 1 / self.of(name, "inverse_inertia")

    def start(self, batch: int, **bodies: dict) -> tuple:
        """The level's start with some bodies set otherwise: {name: {field: [b] or [b, 2]}}."""
        state = self.env.reset(batch)
        motion = state.motion._asdict()
        for name, changes in bodies.items():
            row = self.rows[name]
            for field, value in changes.items():
                if field in ("position", "velocity"):
                    columns = np.broadcast_to(np.float32(value), (batch, 2)).T
                    parts = zip(motion[field], columns)
                    motion[field] = type(motion[field])(*(p.at[row].set(c) for p, c in parts))
                else:
                    motion[field] = motion[field].at[row].set(np.float32(value))
        return state._replace(motion=state.motion._replace(**motion))

    @cached_property
    def _run(self):
        def run(state, actions):
            def one(state, action):
                state, _ = self.env.step(state, action)
                return state, (state.motion, state.memory)

            return jax.lax.scan(one, state, actions)[1]

        return jax.jit(run)

    def run(self, state, steps: int, actions: np.ndarray | None = None):
        """Motion and contact memory after each step, [t, ...]; actions: [t, b, a], 0 by default."""
        batch = state.timestep.shape[0]
        if actions is None:
            actions = np.zeros((steps, batch, 6), np.float32)
        motion, memory = self._run(state, jnp.asarray(actions, jnp.float32))
        return jax.tree.map(lambda x: np.asarray(x, float), motion), memory
