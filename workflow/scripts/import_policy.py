"""A policy trained elsewhere, brought into this pipeline's form."""

from pathlib import Path

from rtc.jobs.job import job

with job(log=snakemake.log[0], threads=snakemake.threads, device="cpu"):
    from rtc.exchange.policies import import_policy
    from rtc.levels import Level

    import_policy(
        snakemake.params.source,
        Level.load(snakemake.input.level),
        Path(snakemake.output.summary[0]).parent,
        chunk_size=snakemake.params.chunk_size,
    )
