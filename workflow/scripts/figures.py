"""Every figure and table of the report."""

from pathlib import Path

from rtc.job import job

with job(log=snakemake.log[0], threads=snakemake.threads, device="cpu"):
    from rtc.figures.gallery import draw_gallery

    draw_gallery(
        snakemake.input.evaluations,
        snakemake.input.timings,
        list(snakemake.input.rollouts),
        snakemake.params.experts,
        snakemake.params.policies,
        Path(snakemake.output[0]).parent,
        names=snakemake.params.names,
        threshold=snakemake.params.threshold,
        cell=snakemake.params.cell,
    )
