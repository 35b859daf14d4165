# Data sets -> flow policies, one target per level, policy and seed.
POLICY = "results/policies/{level}/{policy}/seed_{seed}"
TRAINED = {
    name: p for name, p in RUN.policies.items() if not isinstance(p, ImportedPolicy)
}
IMPORTED = {
    name: p for name, p in RUN.policies.items() if isinstance(p, ImportedPolicy)
}


def start_inputs(policy, group):
    """The policy that this one starts from: its folders for the seeds of the job."""
    start = TRAINED[policy].start_from
    if start is None:
        return lambda wildcards: []
    count = RUN.policies[start.policy].seeds
    return lambda wildcards: [
        f"results/policies/{wildcards.level}/{start.policy}/seed_{seed % count}/policy.json"
        for seed in seeds_of(group, wildcards)
    ]


for policy, settings in TRAINED.items():
    for group in seed_groups(settings.seeds, settings.seeds_per_job):

        rule:
            name:
                group_name(f"policy_{policy}", group)
            input:
                dataset="results/datasets/{level}.parquet",
                level="results/levels/{level}.npz",
                start=start_inputs(policy, group),
            output:
                summary=per_seed(
                    POLICY.replace("{policy}", policy) + "/policy.json", group
                ),
                progress=per_seed(
                    POLICY.replace("{policy}", policy) + "/progress.csv", group
                ),
                checkpoints=directory(
                    per_seed(
                        POLICY.replace("{policy}", policy) + "/checkpoints", group
                    )
                ),
            log:
                f"results/logs/policies/{{level}}/{policy}_"
                + ("seed_{seed}" if group is None else f"seeds_{group[0]}")
                + ".log",
            benchmark:
                (
                    f"results/benchmarks/policies/{{level}}/{policy}_"
                    + ("seed_{seed}" if group is None else f"seeds_{group[0]}")
                    + ".tsv"
                )
            threads: stage_threads("policies")
            resources:
                **stage_resources("policies", GPU),
            params:
                config=section(settings, "seeds", "seeds_per_job"),
                env=section(RUN.env),
                policy=policy,
                seed=RUN.seed,
                seeds=lambda wildcards, group=group: seeds_of(group, wildcards),
                code=code_digest("rtc.training"),
            script:
                "../scripts/policy.py"


for policy, settings in IMPORTED.items():

    rule:
        name:
            f"policy_{policy}"
        input:
            level="results/levels/{level}.npz",
        output:
            summary=POLICY.replace("{policy}", policy) + "/policy.json",
            checkpoints=directory(POLICY.replace("{policy}", policy) + "/checkpoints"),
        log:
            f"results/logs/policies/{{level}}/{policy}_seed_{{seed}}.log",
        benchmark:
            f"results/benchmarks/policies/{{level}}/{policy}_seed_{{seed}}.tsv"
        threads: 1
        resources:
            **stage_resources("figures"),
        params:
            source=settings.source,
            policy=policy,
            code=code_digest("rtc.exchange"),
        script:
            "../scripts/import_policy.py"
