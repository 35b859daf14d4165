"""All evaluations in one table, and all measured times in another."""

from pathlib import Path

from rtc.job import job

with job(log=snakemake.log[0], threads=snakemake.threads, device="cpu"):
    from rtc.evaluate.join import join_evaluations

    join_evaluations(map(Path, snakemake.input.cells), Path(snakemake.output.cells))
    join_evaluations(map(Path, snakemake.input.timing), Path(snakemake.output.timing))
