"""One level: its arrays for every later stage, and a picture."""

from rtc.jobs.job import job

with job(log=snakemake.log[0], threads=snakemake.threads, device="cpu"):
    from rtc.env.render import export_level

    export_level(
        snakemake.params.source,
        snakemake.output.arrays,
        snakemake.output.picture,
    )
