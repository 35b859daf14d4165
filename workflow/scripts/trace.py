"""One decision under delay, drawn flow step by flow step."""

from pathlib import Path

from rtc.jobs.job import job

with job(log=snakemake.log[0], threads=snakemake.threads, device="cpu"):
    from rtc.config.sections import EnvConfig, build
    from rtc.levels import Level
    from rtc.traces import write_traces

    write_traces(
        Level.load(snakemake.input.level),
        build(EnvConfig, snakemake.params.env, "env"),
        Path(snakemake.input.policy).parent,
        Path(snakemake.output.decision).parent,
        seed=snakemake.params.seed,
        **snakemake.params.config,
    )
