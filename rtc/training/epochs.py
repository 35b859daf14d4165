"""The loop over epochs: train, watch for NaN, keep checkpoints, save the state."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from tqdm import tqdm

from rtc.config.sections import PolicyConfig
from rtc.flow import FlowPolicy
from rtc.jobs.resume import ResumeState
from rtc.training.feed import Feed
from rtc.training.learner import Learner
from rtc.training.outputs import Outputs, progress_row
from rtc.types import Array, Bool, Key, LogSink, PyTree

logger = logging.getLogger("rtc")

# Minibatches of one compiled call; between calls the progress bar moves.
MINIBATCHES_PER_CALL = 500

# A small evaluation: the solve rate of a policy, from 0 to 1.
Evaluation = Callable[[FlowPolicy, Key], float]


class Training(NamedTuple):
    """What an interrupted training needs to go on; saved after every epoch.

    history: [epochs, s, column], NaN where not reached. stopped: [s] the epoch in which a seed
    diverged, 0 while it has not. minibatch: [s] where in that epoch it did.
    """

    learner: Learner
    history: np.ndarray
    stopped: np.ndarray
    minibatch: np.ndarray


@dataclass(frozen=True)
class Run:
    """What stays the same while it trains.

    loss_keys, evaluation_keys: [s]. first_epoch: number of the first epoch where random streams
    are concerned; 1, or more where the policy starts from another, so that they go on from it.
    """

    level: str
    config: PolicyConfig
    seeds: tuple[int, ...]
    graph: Any
    loss_keys: Array
    evaluation_keys: Array
    first_epoch: int
    feed: Feed
    train: Callable[..., Any]
    outputs: tuple[Outputs, ...]
    sinks: Sequence[LogSink]
    evaluate: Evaluation | None

    def params(self, learner: Learner, index: int) -> PyTree:
        """The parameters of one seed as they stand, as nested dicts by name."""
        return jax.tree.map(lambda leaf: leaf[index], learner.params)


class Sums(NamedTuple):
    """Of one epoch. loss, grad_norm: [s] means over its minibatches. bad: [s] the first minibatch
    with a loss or gradient that is not finite, -1 if all are. minibatches, seconds: of all."""

    loss: np.ndarray
    grad_norm: np.ndarray
    bad: np.ndarray
    minibatches: int
    seconds: float


def train_epochs(run: Run, state: ResumeState, training: Training) -> Training:
    """Trains from where `state` left off, or from `training`, to the last epoch."""
    found = state.load(training)
    done = 0
    if found is not None:
        done, training = found
        training = training._replace(learner=jax.tree.map(jnp.asarray, training.learner))
        logger.info("%s: going on after epoch %d", run.level, done)
    for outputs in run.outputs:
        outputs.begin(done)
    epochs, size = run.config.epochs, run.feed.minibatches
    with tqdm(total=epochs * size, initial=done * size, unit="batch", disable=None) as bar:
        for epoch in range(done + 1, epochs + 1):
            if epoch == done + 1:
                training = training._replace(learner=_compile(run, training.learner))
            if (training.stopped > 0).all():
                break
            training = _train_epoch(run, training, epoch, bar)
            _keep(run, training, epoch)
            _report(run, training, epoch)
            state.save(epoch, training)
    return training


def _compile(run: Run, learner: Learner) -> Learner:
    """Compiles the training program by a call that trains on nothing."""
    begun = time.perf_counter()
    block = next(run.feed.epoch(run.first_epoch))
    learner, _ = run.train(learner, block.rows, block.starts, run.loss_keys, 0, 0)
    jax.block_until_ready(learner)
    logger.info("%s: compiled in %.1f s", run.level, time.perf_counter() - begun)
    return learner


def _train_epoch(run: Run, training: Training, epoch: int, bar: tqdm) -> Training:
    before = jax.tree.map(jnp.copy, training.learner.params)
    learner, sums = _run_minibatches(run, training.learner, run.first_epoch - 1 + epoch, bar)
    bad = (sums.bad >= 0) | ~np.asarray(_finite(learner.params))
    new = bad & (training.stopped == 0)
    stopped = np.where(new, epoch, training.stopped)
    minibatch = np.where(new, np.where(sums.bad >= 0, sums.bad, sums.minibatches - 1), 0)
    # A seed that diverged goes back to its last good parameters and stays there.
    params = jax.tree.map(lambda old, now: _choose(stopped > 0, old, now), before, learner.params)
    learner = learner._replace(params=params)
    history = training.history.copy()
    samples = sums.minibatches * run.config.batch_size
    for index in np.flatnonzero(stopped == 0).tolist():
        loss, norm = sums.loss[index], sums.grad_norm[index]
        solve_rate = _evaluate(run, learner, index, epoch)
        history[epoch - 1, index] = (samples, sums.seconds, loss, norm, solve_rate)
    return Training(learner, history, stopped, training.minibatch + minibatch)


def _run_minibatches(run: Run, learner: Learner, stream: int, bar: tqdm) -> tuple[Learner, Sums]:
    keys = _fold_in(run.loss_keys, stream)
    loss, norm, bad, count = 0.0, 0.0, np.full(len(run.seeds), -1), 0
    begun = time.perf_counter()
    for block in run.feed.epoch(stream):
        block_keys = _fold_in(keys, block.number)
        for first in range(0, block.count, MINIBATCHES_PER_CALL):
            last = min(first + MINIBATCHES_PER_CALL, block.count)
            learner, part = run.train(learner, block.rows, block.starts, block_keys, first, last)
            part = jax.device_get(part)
            loss, norm = loss + part.loss.astype(float), norm + part.grad_norm.astype(float)
            bad = np.where((bad < 0) & (part.bad >= 0), count + part.bad, bad)
            bar.update(last - first)
        count += block.count
    return learner, Sums(loss / count, norm / count, bad, count, time.perf_counter() - begun)


def _evaluate(run: Run, learner: Learner, index: int, epoch: int) -> float:
    every = run.config.evaluate_every
    if run.evaluate is None or not every or epoch % every:
        return np.nan
    key = jax.random.fold_in(run.evaluation_keys[index], epoch)
    return float(run.evaluate(nnx.merge(run.graph, run.params(learner, index)), key))


def _keep(run: Run, training: Training, epoch: int) -> None:
    """Checkpoints of this epoch, and of the one before for seeds that diverged in this one."""
    wanted = epoch in run.config.keep_epochs or epoch == run.config.epochs
    for index, outputs in enumerate(run.outputs):
        stopped = training.stopped[index]
        if stopped == epoch:
            logger.error("%s", divergence(run, training, index))
        if stopped == epoch or (wanted and not stopped):
            last = epoch - 1 if stopped else epoch
            outputs.keep(last, run.params(training.learner, index))


def _report(run: Run, training: Training, epoch: int) -> None:
    for index, seed in enumerate(run.seeds):
        if training.stopped[index]:
            continue
        row = progress_row(training.history[:, index], epoch - 1)
        logger.info(
            "%s seed %d epoch %d/%d: loss %.5f, %.0f samples/s",
            *(run.level, seed, epoch, run.config.epochs, row["loss"], row["samples_per_second"]),
        )
        for sink in run.sinks:
            name = run.outputs[index].folder.parent.name
            sink({"level": run.level, "policy": name, "seed": seed, **row})


def divergence(run: Run, training: Training, index: int) -> str:
    """One line on where a seed diverged and what was kept of it."""
    epoch = int(training.stopped[index])
    return (
        f"{run.level}, policy seed {run.seeds[index]}: loss not finite in epoch {epoch}, "
        f"minibatch {int(training.minibatch[index])}; kept epoch {epoch - 1}; "
        f"lower learning_rate or max_grad_norm of the policy"
    )


@jax.jit
def _finite(params: PyTree) -> Bool[Array, "s"]:
    """Whether all parameters of each seed are finite."""
    checks = [
        jnp.isfinite(leaf.reshape(leaf.shape[0], -1)).all(axis=1)
        for leaf in jax.tree.leaves(params)
    ]
    return jnp.stack(checks).all(axis=0)


def _fold_in(keys: Array, data: int) -> Array:
    return jax.vmap(jax.random.fold_in, in_axes=(0, None))(keys, data)


def _choose(mask: np.ndarray, there: Array, here: Array) -> Array:
    return jnp.where(mask.reshape(-1, *(1,) * (there.ndim - 1)), there, here)
