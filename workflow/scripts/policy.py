"""Flow policies of one level and variant: one seed, or several in one program."""

from pathlib import Path

from rtc.jobs.job import job

with job(
    log=snakemake.log[0],
    threads=snakemake.threads,
    device=snakemake.config["device"],
    jobs_per_gpu=snakemake.config["jobs_per_gpu"],
):
    from rtc.config.sections import PolicyConfig, build
    from rtc.jobs.tracking import POLICY_PROJECT, wandb_sinks
    from rtc.levels import Level
    from rtc.training import train_policies

    params = snakemake.params
    shared = {"seeds": len(params.seeds), "seeds_per_job": len(params.seeds)}
    train_policies(
        snakemake.wildcards.level,
        Path(snakemake.input.dataset),
        build(PolicyConfig, params.config | shared, f"policies.{params.policy}"),
        list(params.seeds),
        [Path(summary).parent for summary in snakemake.output.summary],
        start_from=[Path(summary).parent for summary in snakemake.input.start] or None,
        root_seed=params.seed,
        sinks=wandb_sinks(snakemake.config["tracking"]["wandb"], POLICY_PROJECT),
        state_dir=Path("results/.state/policies") / snakemake.wildcards.level / params.policy,
        level=Level.load(snakemake.input.level),
    )
