"""The median rollout under naive and under realtime, side by side."""

from pathlib import Path

from rtc.jobs.job import job

with job(log=snakemake.log[0], threads=snakemake.threads, device="cpu"):
    from rtc.config.sections import EnvConfig, build
    from rtc.levels import Level
    from rtc.traces import write_comparison_video

    write_comparison_video(
        Level.load(snakemake.input.level),
        build(EnvConfig, snakemake.params.env, "env"),
        Path(snakemake.input.policy).parent,
        snakemake.output[0],
        flow_steps=snakemake.params.flow_steps,
        seed=snakemake.params.seed,
        **snakemake.params.config,
    )
