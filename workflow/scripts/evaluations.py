"""All evaluations in one table, and all measured times in another."""

from pathlib import Path

from rtc.jobs.job import job

with job(log=snakemake.log[0], threads=snakemake.threads, device="cpu"):
    from rtc.storage.tables import join_evaluations, join_timings

    join_evaluations(map(Path, snakemake.input.cells), Path(snakemake.output.cells))
    join_timings(map(Path, snakemake.input.timing), Path(snakemake.output.timing))
