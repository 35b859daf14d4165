"""Solutions of one level, found by search."""

from rtc.jobs.job import job

with job(
    log=snakemake.log[0],
    threads=snakemake.threads,
    device=snakemake.config["device"],
    jobs_per_gpu=snakemake.config["jobs_per_gpu"],
):
    from rtc.config.sections import DemonstrationConfig, EnvConfig, build
    from rtc.experts.demonstrations import find_demonstrations
    from rtc.levels import Level

    find_demonstrations(
        Level.load(snakemake.input.level),
        build(EnvConfig, snakemake.params.env, "env"),
        build(DemonstrationConfig, snakemake.params.config, "demonstrations"),
        snakemake.output[0],
        root_seed=snakemake.params.seed,
    )
