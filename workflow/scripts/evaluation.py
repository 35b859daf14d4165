"""Methods on one policy, one or several in one process: every cell of the sweep."""

from pathlib import Path

from rtc.jobs.job import job

with job(
    log=snakemake.log[0],
    threads=snakemake.threads,
    device=snakemake.config["device"],
    jobs_per_gpu=snakemake.config["jobs_per_gpu"],
):
    from rtc.config.sections import EnvConfig, EvaluationConfig, MethodConfig, build
    from rtc.evaluate import Outputs, evaluate_methods
    from rtc.levels import Level

    params, files = snakemake.params, snakemake.output
    methods = {
        label: build(MethodConfig, method, f"methods.{label}")
        for label, method in params.methods.items()
    }
    shared = {"cells": params.cells, "methods_per_job": len(methods)}
    evaluate_methods(
        Level.load(snakemake.input.level),
        build(EnvConfig, params.env, "env"),
        Path(snakemake.input.policy).parent,
        methods,
        build(EvaluationConfig, params.config | shared, "evaluation"),
        [Outputs(Path(csv), Path(parquet)) for csv, parquet in zip(files.cells, files.rollouts)],
        seed=params.seed,
        heads={Path(file).parents[1].name: Path(file).parent for file in snakemake.input.heads},
        reference=next((Path(file).parent for file in snakemake.input.reference), None),
        state_dir=Path("results/.state/evaluations"),
        code=params.code,
    )
