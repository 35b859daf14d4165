"""The data set of one level, played by a mixture of its experts."""

from pathlib import Path

from rtc.jobs.job import job

with job(
    log=snakemake.log[0],
    threads=snakemake.threads,
    device=snakemake.config["device"],
    jobs_per_gpu=snakemake.config["jobs_per_gpu"],
):
    from rtc.config.sections import DatasetConfig, EnvConfig, build
    from rtc.datasets import collect_dataset
    from rtc.levels import Level

    collect_dataset(
        Level.load(snakemake.input.level),
        build(EnvConfig, snakemake.params.env, "env"),
        build(DatasetConfig, snakemake.params.config, "datasets"),
        [Path(summary).parent for summary in snakemake.input.summaries],
        Path(snakemake.output[0]),
        seed=snakemake.params.seed,
    )
