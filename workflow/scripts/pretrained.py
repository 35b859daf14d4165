"""Policies and experts of the finished levels, shipped in `pretrained/`."""

from rtc.jobs.job import job

with job(log=snakemake.log[0], threads=snakemake.threads, device="cpu"):
    from rtc.exchange.pretrained import ship_pretrained
    from rtc.jobs.provenance import commit

    ship_pretrained(
        "results",
        "pretrained",
        snakemake.params.levels,
        dict(snakemake.params.policies),
        commit(),
    )
