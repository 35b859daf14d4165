"""A head on top of one policy of one level."""

from pathlib import Path

from rtc.jobs.job import job

with job(
    log=snakemake.log[0],
    threads=snakemake.threads,
    device=snakemake.config["device"],
    jobs_per_gpu=snakemake.config["jobs_per_gpu"],
):
    from rtc.config.sections import EnvConfig, HeadConfig, build
    from rtc.levels import Level
    from rtc.training.heads import train_head

    given, params = snakemake.input, snakemake.params
    train_head(
        Level.load(given.level),
        EnvConfig(**params.env),
        params.head,
        build(HeadConfig, params.config, f"heads.{params.head}"),
        Path(given.policy[0]).parent,
        Path(snakemake.output.summary).parent,
        experts=[Path(expert).parent for expert in given.experts],
        dataset=given.dataset or None,
        flow_steps=params.flow_steps,
        seed=params.seed,
    )
