"""A picture of one level's start."""

from rtc.jobs.job import job

with job(log=snakemake.log[0], threads=snakemake.threads, device="cpu"):
    from rtc.env.render import draw_level

    draw_level(snakemake.input[0], snakemake.output[0])
