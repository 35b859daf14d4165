"""Experts of one level: one seed, or several in one program."""

from pathlib import Path

from rtc.jobs.job import job

with job(
    log=snakemake.log[0],
    threads=snakemake.threads,
    device=snakemake.config["device"],
    jobs_per_gpu=snakemake.config["jobs_per_gpu"],
):
    from rtc.config.sections import EnvConfig, ExpertConfig, build
    from rtc.experts import train_experts
    from rtc.jobs.tracking import EXPERT_PROJECT, wandb_sinks
    from rtc.levels import Level

    params = snakemake.params
    shared = {"seeds": len(params.seeds), "seeds_per_job": len(params.seeds), "video": False}
    train_experts(
        Level.load(snakemake.input.level),
        build(EnvConfig, params.env, "env"),
        build(ExpertConfig, params.config | shared, "experts"),
        list(params.seeds),
        [Path(summary).parent for summary in snakemake.output.summary],
        root_seed=params.seed,
        demonstrations=next(iter(snakemake.input.demonstrations), None),
        sinks=wandb_sinks(snakemake.config["tracking"]["wandb"], EXPERT_PROJECT),
        state_dir=Path("results/.state/experts") / snakemake.wildcards.level,
    )
