"""Floating-point operations of a program, and what the device could do at best.

The compiler's own count takes the body of a loop once, however often the loop runs. So the traced
program is counted instead: scans as often as they are long, loops of unknown length as often
as the caller says.
"""

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

# Primitives of jax: one operation for each number they yield, or, reductions, take in.
ARITHMETIC = {
    *("add", "sub", "mul", "div", "rem", "neg", "abs", "sign", "max", "min", "clamp"),
    *("sqrt", "rsqrt", "square", "integer_pow", "pow", "floor", "round", "erf_inv"),
    *("exp", "exp2", "expm1", "log", "log1p", "sin", "cos", "tan", "tanh", "atan2", "logistic"),
}
REDUCTIONS = {"reduce_sum", "reduce_max", "reduce_min", "reduce_prod", "cumsum"}


def operations_of(function: Callable[..., Any], *arguments: Any, trips: float = 1.0) -> float:
    """Arithmetic on floats in one call; a root, a sine or a maximum counts as one.

    trips: how often loops run whose length is not known before the program runs.
    """
    return _count(jax.make_jaxpr(function)(*arguments).jaxpr, trips)


def _count(jaxpr: Any, trips: float) -> float:
    return sum(_of_equation(equation, trips) for equation in jaxpr.eqns)


def _of_equation(equation: Any, trips: float) -> float:
    name, params = equation.primitive.name, equation.params
    if name == "while":
        return trips * _count(params["body_jaxpr"].jaxpr, trips)
    if name == "cond":
        return max(_count(branch.jaxpr, trips) for branch in params["branches"])
    inner = [getattr(p, "jaxpr", p) for p in params.values()]
    inner = [p for p in inner if hasattr(p, "eqns")]
    if inner:
        times = params["length"] if name == "scan" else 1
        return times * sum(_count(p, trips) for p in inner)
    if name == "dot_general":
        (contracted, _), _ = params["dimension_numbers"]
        depth = [equation.invars[0].aval.shape[axis] for axis in contracted]
        return 2.0 * equation.outvars[0].aval.size * float(jnp.prod(jnp.array([1, *depth])))
    shaped = equation.invars[0] if name in REDUCTIONS else equation.outvars[0]
    counted = name in ARITHMETIC or name in REDUCTIONS
    return float(shaped.aval.size) if counted and shaped.aval.dtype.kind == "f" else 0.0


def elementwise_ceiling(rounds: int = 5) -> float:
    """Operations a second of one fused chain of multiplications and additions, cache-sized.

    No physics of many small steps can be faster than this.
    """
    chain, width = 64, 2**18

    @jax.jit
    def fused(x: jax.Array) -> jax.Array:
        for _ in range(chain):
            x = x * 0.999 + 0.001
        return x

    @jax.jit
    def repeated(x: jax.Array) -> jax.Array:
        return jax.lax.fori_loop(0, 20, lambda _, x: fused(x), x)

    x = jnp.ones(width)
    jax.block_until_ready(repeated(x))
    best = float("inf")
    for _ in range(rounds):
        began = time.perf_counter()
        jax.block_until_ready(repeated(x))
        best = min(best, time.perf_counter() - began)
    return 20 * 2.0 * chain * width / best
