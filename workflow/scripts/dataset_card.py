"""The card of the data sets' folder, in the Hugging Face form."""

from pathlib import Path

from rtc.jobs.job import job

with job(log=snakemake.log[0], threads=snakemake.threads, device="cpu"):
    from rtc.datasets import write_dataset_card

    write_dataset_card(Path(snakemake.output[0]).parent)
