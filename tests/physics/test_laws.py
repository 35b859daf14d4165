"""The engine against textbook physics: every test states the equation it holds.

Symbols: dt = 1/60 s the substep, n their number, m mass, I inertia about the centre, g gravity,
w angular velocity, e restitution, mu friction coefficient. The engine integrates by
semi-implicit Euler: v += a dt, then x += v dt.
"""

import numpy as np
import pytest

from tests.physics.scenes import Laboratory

G = 9.81
STEPS = 256
BATCH = 8


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    """No gravity: things that bounce, spin, push and collide, far from each other."""
    ball = {"circle": 0.1, "friction": 0.3}
    return Laboratory(
        tmp_path_factory.mktemp("space"),
        {
            "gravity": [0, 0],
            "changes": {"floor": {"restitution": 1}},
            "bodies": {
                "post": {"box": [0.1, 0.1], "position": [2.5, 2.2], "fixed": True},
                "wheel": {"box": [0.5, 0.3], "position": [2.5, 2.2], "density": 2},
                "craft": {"box": [0.4, 0.2], "position": [4.2, 2.2]},
                "left": {"box": [0.3, 0.3], "position": [0.8, 3.5], "restitution": 0.4},
                "right": {"box": [0.3, 0.2], "position": [1.6, 3.6], "density": 3},
                "elastic": {**ball, "position": [0.5, 0.6], "restitution": 1},
                "half": {**ball, "position": [1.0, 0.6], "restitution": 0.5},
                "lump": {**ball, "position": [1.5, 0.6], "restitution": 0},
                "disc": {**ball, "position": [1.2, 4.0]},
            },
            "joints": [
                {"between": ["post", "wheel"], "at": [2.5, 2.2], "motor": {"power": 0.05}},
            ],
            "thrusters": [
                {"on": "craft", "offset": [-0.2, 0.05], "rotation": 30, "power": 0.2, "binding": 1},
            ],
        },
    )


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    """Gravity aslant, as on a slope; blocks on the floor, a ball in the air, things that hang."""
    return Laboratory(
        tmp_path_factory.mktemp("ground"),
        {
            "gravity": [1.0, -G],
            "changes": {"floor": {"friction": 0.1}},
            "bodies": {
                "hook": {"box": [0.1, 0.1], "position": [3.2, 4], "fixed": True},
                "rough": {"box": [0.4, 0.1], "position": [0.6, 0.445], "friction": 0.5},
                "smooth": {"box": [0.4, 0.1], "position": [1.8, 0.445], "friction": 0},
                "upper": {"box": [0.4, 0.06], "position": [3.4, 4]},
                "lower": {"box": [0.5, 0.06], "position": [3.85, 4], "density": 2},
                "bob": {"box": [0.1, 1.2], "position": [1.5, 2.6]},
                "peg": {"box": [0.1, 0.1], "position": [1.5, 3.2], "fixed": True},
                "ball": {"circle": 0.1, "position": [0.5, 4.4]},
            },
            "joints": [
                {"between": ["hook", "upper"], "at": [3.2, 4]},
                {"between": ["upper", "lower"], "at": [3.6, 4]},
                {"between": ["peg", "bob"], "at": [1.5, 3.2]},
            ],
        },
    )


def test_free_fall(ground):
    """v_n = v_0 + g n dt and x_n = x_0 + v_0 n dt + g dt^2 n (n + 1) / 2."""
    speed = np.stack([np.linspace(-0.2, 0.6, BATCH), np.linspace(-1, 0.5, BATCH)], -1)
    state = ground.start(BATCH, ball={"velocity": speed, "spin": np.arange(BATCH)})
    motion, _ = ground.run(state, STEPS)
    row, dt, n = ground.rows["ball"], ground.dt, np.arange(1, 31)[:, None]
    for axis, g, start in (("x", 1.0, 0.5), ("y", -G, 4.4)):
        v0 = speed[:, 0 if axis == "x" else 1]
        velocity = getattr(motion.velocity, axis)[:30, row]
        place = getattr(motion.position, axis)[:30, row]
        np.testing.assert_allclose(velocity, v0 + g * n * dt, atol=2e-5)
        np.testing.assert_allclose(
            place, start + v0 * n * dt + g * dt**2 * n * (n + 1) / 2, atol=2e-5
        )
    np.testing.assert_array_equal(motion.spin[:30, row], np.tile(np.arange(BATCH), (30, 1)))


@pytest.mark.parametrize(("name", "e"), [("elastic", 1.0), ("half", 0.5), ("lump", 0.0)])
def test_bounce(space, name, e):
    """v' = -e v along the normal, if the overlap v dt is within the slop of 0.01 m."""
    speed = np.linspace(0.2, 0.59, BATCH)
    down = np.stack([0 * speed, -speed], -1)
    motion, _ = space.run(space.start(BATCH, **{name: {"velocity": down}}), STEPS)
    row = space.rows[name]
    assert (motion.position.y[:, row] > 0.5 - 0.01).all()
    np.testing.assert_allclose(motion.velocity.y[-1, row], e * speed, atol=2e-6)
    np.testing.assert_allclose(motion.velocity.x[-1, row], 0, atol=2e-6)


def test_momentum_is_conserved(space):
    """Collisions with friction keep sum m v and sum m r x v + I w, but not the energy."""
    names = ("left", "right", "disc")
    random = np.random.default_rng(0)

    def towards(x, y):
        return random.normal([x, y], 0.2, (BATCH, 2))

    state = space.start(
        BATCH,
        left={"velocity": towards(1.5, 0.2), "spin": random.normal(0, 3, BATCH)},
        right={"velocity": towards(-1.0, 0.0), "spin": random.normal(0, 3, BATCH)},
        disc={"velocity": towards(0.0, -1.5)},
    )
    motion, memory = space.run(state, STEPS)
    linear, angular, energy = np.zeros((2, 48, BATCH)), np.zeros((48, BATCH)), 0.0
    for name in names:
        row, m, inertia = space.rows[name], space.mass(name), space.inertia(name)
        x, y = (motion.position[k][:48, row] for k in (0, 1))
        vx, vy = (motion.velocity[k][:48, row] for k in (0, 1))
        spin = motion.spin[:48, row]
        linear += m * np.stack([vx, vy])
        angular += m * (x * vy - y * vx) + inertia * spin
        energy = energy + m * (vx**2 + vy**2) / 2 + inertia * spin**2 / 2
    met = np.asarray(memory.used)[:48].max(axis=0) > 0
    assert met.sum() >= BATCH // 2, "few of the environments saw a collision"
    np.testing.assert_allclose(linear, np.repeat(linear[:, :1], 48, 1), atol=3e-6)
    np.testing.assert_allclose(angular, np.repeat(angular[:1], 48, 0), atol=1e-5)
    assert (energy[-1, met] < energy[0, met]).any()


def test_motor_torque(space):
    """dw = 900 p dt tanh((w_wanted - w) / 10), w_wanted = 6 a rad/s; nothing at a = 0."""
    drive = np.array([1, 1, -1, -1, 0.5, 0.5, 0, 0])
    spin = np.array([0, 40, 0, 8, 3, -20, 2, -6.0])
    actions = np.zeros((STEPS, BATCH, 6))
    actions[:, :, 0] = drive
    motion, _ = space.run(space.start(BATCH, wheel={"spin": spin}), STEPS, actions)
    trace = np.concatenate([spin[None], motion.spin[:, space.rows["wheel"]]])
    most = 900 * 0.05 * space.dt
    expected = np.where(drive == 0, 0, most * np.tanh((6 * drive - trace[:-1]) / 10))
    np.testing.assert_allclose(np.diff(trace, axis=0), expected, atol=2e-5)
    assert np.abs(np.diff(trace, axis=0)).max() <= most
    np.testing.assert_allclose(trace[-1, :6], 6 * drive[:6], atol=0.05)


def test_thruster_impulse(space):
    """m dv = F dt along the thruster, I dw = (r x F) dt, with F = 10 p a, 0 <= a <= 1."""
    drive = np.array([0, 0.25, 0.5, 1, 3, -1, 1, 1])
    angle = np.linspace(-3, 3, BATCH)
    actions = np.zeros((STEPS, BATCH, 6))
    actions[0, :, 5] = drive
    motion, _ = space.run(space.start(BATCH, craft={"angle": angle}), STEPS, actions)
    row = space.rows["craft"]
    impulse = 10 * 0.2 * np.clip(drive, 0, 1) * space.dt
    heading = angle + np.deg2rad(30)
    m, inertia = space.mass("craft"), space.inertia("craft")
    torque = -0.2 * np.sin(np.deg2rad(30)) - 0.05 * np.cos(np.deg2rad(30))  # r x F in its frame
    for step in (0, 20):  # one impulse at first, none later
        np.testing.assert_allclose(
            motion.velocity.x[step, row], impulse * np.cos(heading) / m, atol=1e-5
        )
        np.testing.assert_allclose(
            motion.velocity.y[step, row], impulse * np.sin(heading) / m, atol=1e-5
        )
        np.testing.assert_allclose(motion.spin[step, row], impulse * torque / inertia, atol=1e-4)


def mu(friction, floor=0.1):
    """jax2d's coefficient of two bodies: the root of the sum of squares, times 0.4."""
    return 0.4 * np.hypot(friction, floor)


def test_a_sliding_block_is_slowed_by_friction(ground):
    """dv/dt = g_x - mu g while it slides; it stops and stays if g_x < mu g."""
    v0 = np.linspace(0.4, 1.0, BATCH)
    slide = {"velocity": np.stack([v0, 0 * v0], -1)}
    motion, _ = ground.run(ground.start(BATCH, rough=slide, smooth=slide), STEPS)
    n = 10
    span = (n, n + 10)  # after the blocks have settled, before they stop
    for name, friction in (("rough", 0.5), ("smooth", 0.0)):
        speed = motion.velocity.x[:, ground.rows[name]]
        rate = (speed[span[1]] - speed[span[0]]) / (10 * ground.dt)
        np.testing.assert_allclose(rate, 1.0 - mu(friction) * G, atol=0.03)
    assert mu(0.5) * G > 1.0
    rest = motion.velocity.x[-8:, ground.rows["rough"]]
    np.testing.assert_allclose(rest, 0, atol=2e-3)


def test_friction_cone_and_weight(ground):
    """Impulses of every contact lie in the cone |tangent| <= mu normal; m g dt carries a block."""
    state = ground.start(BATCH, rough={"velocity": [[v, 0.0] for v in np.linspace(-1, 1, BATCH)]})
    _, memory = ground.run(state, STEPS)
    floor_pairs = {"rough": 0.5, "smooth": 0.0}
    numbers = np.asarray(memory.point)
    valid = np.arange(numbers.shape[1])[:, None] < np.asarray(memory.used)[:, None]
    sums = np.asarray(memory.sums, float)
    scene = ground.env._physics.dynamics.scene
    pairs = scene.polygon_polygon
    floor = int(np.flatnonzero(pairs.kinds[1].slots == 0)[0])
    for name, friction in floor_pairs.items():
        block = int(np.flatnonzero(pairs.kinds[0].slots == ground.bodies[name])[0])
        slot = pairs.slot[
            ((pairs.a == floor) & (pairs.b == block)) | ((pairs.a == block) & (pairs.b == floor))
        ]
        own = valid & (numbers // 2 == slot)
        normal, tangent = (np.where(own, sums[:, :, k], 0) for k in (0, 1))
        assert own.any(axis=1)[10:].all(), "the block left the floor"
        assert (np.abs(tangent) <= mu(friction) * normal + 1e-7).all()
        if name == "rough":
            weight = ground.mass(name) * G * ground.dt
            np.testing.assert_allclose(normal.sum(axis=1)[-16:], weight, rtol=1e-3)


def test_pendulum_period(ground):
    """T = 2 pi sqrt((I + m l^2) / (m g l)), longer by 1 + q^2 / 16 at amplitude q."""
    swing = np.linspace(0.05, 0.4, BATCH)
    length, tilt = 0.6, np.arctan2(1.0, G)  # the slope's "down"
    angle = swing + tilt
    place = np.stack([1.5 + length * np.sin(angle), 3.2 - length * np.cos(angle)], -1)
    motion, _ = ground.run(ground.start(BATCH, bob={"position": place, "angle": angle}), 2 * STEPS)
    angles = motion.angle[:, ground.rows["bob"]] - tilt
    m, inertia = ground.mass("bob"), ground.inertia("bob")
    small = 2 * np.pi * np.sqrt((inertia + m * length**2) / (m * np.hypot(1, G) * length))
    for k, q in enumerate(swing):
        falling = np.flatnonzero((angles[:-1, k] > 0) & (angles[1:, k] <= 0))
        before, after = angles[falling, k], angles[falling + 1, k]
        crossings = (falling + before / (before - after)) * ground.dt
        period = np.diff(crossings).mean()
        assert period == pytest.approx(small * (1 + q**2 / 16), rel=0.01)


def test_joints_hold(ground):
    """Anchors part by r w^2 dt^2 / 2, the curve of their path in one substep, and no more.

    An anchor at rest moves along its tangent while its body turns by w dt. A chain is less well
    solved in ten rounds: at its hook by the curves of both links, between them by 1.5 times that.
    """
    spin = np.linspace(-3, 3, BATCH)  # of everything about its hook

    def turning(x, y):
        return {"spin": spin, "velocity": np.stack([-y * spin, x * spin], -1)}

    state = ground.start(
        BATCH,
        bob=turning(0, -0.6),
        upper=turning(0.2, 0),
        lower=turning(0.65, 0),
        ball={"position": [4.5, 0.7]},
    )
    motion, _ = ground.run(state, STEPS)

    def anchor(name, x, y):
        row = ground.rows[name]
        c, s = np.cos(motion.angle[:, row]), np.sin(motion.angle[:, row])
        place = motion.position.x[:, row], motion.position.y[:, row]
        return np.stack([place[0] + c * x - s * y, place[1] + s * x + c * y])

    def gap(one, other):
        return np.hypot(*(one - (np.reshape(other, (2, 1, 1)) if np.ndim(other) == 1 else other)))

    def curve(name, arm):
        return arm * motion.spin[:, ground.rows[name]] ** 2 * ground.dt**2 / 2

    swing, path = gap(anchor("bob", 0, 0.6), [1.5, 3.2]), curve("bob", 0.6)
    np.testing.assert_allclose(swing, path, atol=3e-5)
    assert path.max() > 5e-4, "too slow to tell"
    both = curve("upper", 0.4) + curve("lower", 0.25)
    hook = gap(anchor("upper", -0.2, 0), [3.2, 4])
    link = gap(anchor("upper", 0.2, 0), anchor("lower", -0.25, 0))
    assert (hook <= both + 2e-4).all()
    assert (link <= 1.5 * both + 2e-4).all()
