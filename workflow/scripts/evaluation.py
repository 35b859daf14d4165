"""One method on one policy: every cell of the sweep."""

from pathlib import Path

from rtc.jobs.job import job

with job(
    log=snakemake.log[0],
    threads=snakemake.threads,
    device=snakemake.config["device"],
    jobs_per_gpu=snakemake.config["jobs_per_gpu"],
):
    from rtc.config.sections import EnvConfig, EvaluationConfig, MethodConfig, build
    from rtc.evaluate import evaluate_method
    from rtc.levels import Level

    params, where = snakemake.params, snakemake.wildcards
    evaluate_method(
        Level.load(snakemake.input.level),
        build(EnvConfig, params.env, "env"),
        Path(snakemake.input.policy).parent,
        where.method,
        build(MethodConfig, params.method, f"methods.{where.method}"),
        build(EvaluationConfig, params.config | {"cells": params.cells}, "evaluation"),
        Path(snakemake.output.cells),
        Path(snakemake.output.rollouts),
        seed=params.seed,
        state_dir=Path("results/.state/evaluations"),
    )
