"""A rollout of the best checkpoint of one expert, as a video."""

from pathlib import Path

from rtc.job import job

with job(log=snakemake.log[0], threads=snakemake.threads, device="cpu"):
    from rtc.config import EnvConfig, build
    from rtc.levels import Level
    from rtc.ppo.video import write_expert_video

    write_expert_video(
        Level.load(snakemake.input.level),
        build(EnvConfig, snakemake.params.env, "env"),
        Path(snakemake.input.summary).parent,
        snakemake.output[0],
        seed=snakemake.params.seed,
    )
