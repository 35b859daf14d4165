"""Every figure and table of the report."""

from pathlib import Path

from rtc.jobs.job import job

with job(log=snakemake.log[0], threads=snakemake.threads, device="cpu"):
    from rtc.report.figures.gallery import draw_gallery

    files, labels = snakemake.input, snakemake.params
    draw_gallery(
        files.evaluations,
        files.timings,
        list(files.rollouts),
        dict(zip(labels.experts, files.experts)),
        dict(zip(labels.policies, files.policies)),
        Path(snakemake.output[0]).parent,
        names=snakemake.params.names,
        threshold=snakemake.params.threshold,
        cell=snakemake.params.cell,
        notes=snakemake.params.notes,
    )
