"""A rollout of the best checkpoint of each expert of a level, as videos."""

from pathlib import Path

from rtc.jobs.job import job

with job(log=snakemake.log[0], threads=snakemake.threads, device="cpu"):
    from rtc.config.sections import EnvConfig, build
    from rtc.experts.video import write_expert_videos
    from rtc.levels import Level

    experts = [Path(summary).parent for summary in snakemake.input.summaries]
    write_expert_videos(
        Level.load(snakemake.input.level),
        build(EnvConfig, snakemake.params.env, "env"),
        dict(zip(experts, map(Path, snakemake.output))),
        seed=snakemake.params.seed,
    )
