"""A trained policy runs on its level: ten lines.

python examples/run_policy.py results/policies/mjc_swimmer/flow/seed_0
"""

import sys

import jax

import rtc

trained = rtc.load_policy(sys.argv[1])
env = rtc.make_env(trained.level)
state, solved, key = env.reset(16), 0, jax.random.key(0)
running = jax.numpy.ones(16, bool)
while running.any():
    key, chunk_key = jax.random.split(key)
    chunk = trained.action(env.observe(state), chunk_key)  # [16, 8, 6]
    for step in range(4):
        state, result = env.step(state, chunk[:, step])
        solved += int((result.solved & result.done & running).sum())
        running &= ~result.done
print(f"{trained.level}: {solved} of 16 episodes solved")
