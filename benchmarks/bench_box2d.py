"""A C++ engine for scale: Box2D stepping the same scene on one core, beside ours on one core.

Box2D steps its worlds one after another, from Python; the loop's own cost is measured with empty
worlds and printed, so it can be taken off. The scenes have the same bodies, joints and motors, 2
substeps of 1/60 s and 10 velocity iterations; contact models differ, so this compares speed, not
motion. Needs `pip install -e .[bench]`.

    python benchmarks/bench_box2d.py [--levels ...] [--batches ...] [--json FILE] [--quick]
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
os.environ.setdefault("PJRT_NPROC", "1")
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax  # noqa: E402
import numpy as np  # noqa: E402
from machine import about, headline  # noqa: E402

import rtc  # noqa: E402

try:
    import Box2D
except ImportError:
    Box2D = None

SECONDS = 2.0  # of measuring, per number


def build_world(level: rtc.Level) -> "Box2D.b2World":
    """The level's bodies, joints and motors as a Box2D world."""
    gravity = level["gravity"]
    world = Box2D.b2World(gravity=(float(gravity[0]), float(gravity[1])), doSleep=False)
    bodies = [_polygon(world, level, i) for i in range(level.static.num_polygons)]
    bodies += [_circle(world, level, i) for i in range(level.static.num_circles)]
    for j in np.flatnonzero(level["joint/active"]):
        a, b = bodies[level["joint/a_index"][j]], bodies[level["joint/b_index"][j]]
        world.CreateRevoluteJoint(
            bodyA=a,
            bodyB=b,
            localAnchorA=tuple(map(float, level["joint/a_relative_pos"][j])),
            localAnchorB=tuple(map(float, level["joint/b_relative_pos"][j])),
            enableMotor=bool(level["joint/motor_on"][j]),
            motorSpeed=float(level["joint/motor_speed"][j]),
            maxMotorTorque=float(level["joint/motor_power"][j]),
            collideConnected=False,
        )
    return world


def _body(world, level: rtc.Level, group: str, i: int, shape) -> "Box2D.b2Body":
    inverse_mass = float(level[f"{group}/inverse_mass"][i])
    make = world.CreateDynamicBody if inverse_mass else world.CreateStaticBody
    body = make(
        position=tuple(map(float, level[f"{group}/position"][i])),
        angle=float(level[f"{group}/rotation"][i]),
    )
    body.CreateFixture(shape=shape, density=1.0, friction=float(level[f"{group}/friction"][i]))
    return body


def _polygon(world, level: rtc.Level, i: int):
    if not level["polygon/active"][i]:
        return None
    count = int(level["polygon/n_vertices"][i])
    vertices = [tuple(map(float, v)) for v in level["polygon/vertices"][i][:count]]
    return _body(world, level, "polygon", i, Box2D.b2PolygonShape(vertices=vertices))


def _circle(world, level: rtc.Level, i: int):
    if not level["circle/active"][i]:
        return None
    radius = float(level["circle/radius"][i])
    return _body(world, level, "circle", i, Box2D.b2CircleShape(radius=radius))


def steps_per_second_box2d(worlds: list, substeps: int, iterations: int) -> float:
    """Environment steps a second, all worlds stepped in turn for about SECONDS."""
    done, begun = 0, time.perf_counter()
    while time.perf_counter() - begun < SECONDS:
        for world in worlds:
            for _ in range(substeps):
                world.Step(1 / 60, iterations, 3)
        done += len(worlds)
    return done / (time.perf_counter() - begun)


def steps_per_second_ours(name: str, batch: int) -> tuple[float, float]:
    """(environment steps a second, seconds of compilation), physics, observation and replay."""
    env = rtc.make_env(name)

    @jax.jit
    def advance(state, key):
        def body(carry, key):
            state, step = env.step(carry, jax.random.uniform(key, (batch, env.action_size)))
            return env.replay(state, step.done), step.reward.sum()

        return jax.lax.scan(body, state, jax.random.split(key, 16))

    state, key = env.reset(batch), jax.random.key(0)
    begun = time.perf_counter()
    jax.block_until_ready(advance(state, key))
    compiling = time.perf_counter() - begun
    done, begun = 0, time.perf_counter()
    while time.perf_counter() - begun < SECONDS:
        state, _ = jax.block_until_ready(advance(state, key))
        done += 16 * batch
    return done / (time.perf_counter() - begun), compiling


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--levels", nargs="+", default=["cartpole_thrust", "h17_unicycle"])
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 256, 2048, 16384])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if Box2D is None:
        print("bench_box2d: not run, Box2D is not installed (pip install -e .[bench])")
        return 0
    if options.quick:
        options.levels, options.batches = options.levels[:1], [256]
    rows = []
    print(f"{headline()}; Box2D {Box2D.__version__}")
    print(
        f"{'level':18} {'batch':>6} {'Box2D /s':>10} {'ours /s':>10} {'ratio':>6} {'compile s':>9}"
    )
    for name in options.levels:
        level = rtc.load_level(name)
        substeps, iterations = level.static.frame_skip, level.static.num_solver_iterations
        for batch in options.batches:
            theirs = steps_per_second_box2d(
                [build_world(level) for _ in range(batch)], substeps, iterations
            )
            ours, compiling = steps_per_second_ours(name, batch)
            rows.append({"level": name, "batch": batch, "box2d": theirs, "ours": ours})
            print(
                f"{name:18} {batch:6} {theirs:10,.0f} {ours:10,.0f} {ours / theirs:6.2f} "
                f"{compiling:9.1f}"
            )
    empty = steps_per_second_box2d([Box2D.b2World()], 2, 10)
    print(f"an empty Box2D world: {empty:,.0f} steps/s, the cost of the Python loop")
    if options.json:
        facts = about() | {"Box2D": Box2D.__version__, "empty_world": empty}
        options.json.write_text(json.dumps(facts | {"rows": rows}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
