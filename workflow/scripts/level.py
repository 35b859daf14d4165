"""One level: its arrays for every later stage."""

from rtc.jobs.job import job

with job(log=snakemake.log[0], threads=snakemake.threads, device="cpu"):
    from rtc.levels import load_level

    load_level(snakemake.params.source, solvable=True).save(snakemake.output[0])
