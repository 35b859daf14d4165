# Data sets -> flow policies, one target per level, policy and seed.
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
                summary=policy_files(policy, "policy.json", group),
                progress=policy_files(policy, "progress.csv", group),
                checkpoints=directory(policy_files(policy, "checkpoints", group)),
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
            priority: 2
            threads: stage_threads("policies")
            resources:
                **stage_resources("policies", GPU),
            params:
                config=lambda wildcards, policy=policy: section(
                    run_at(wildcards).policies[policy], "seeds", "seeds_per_job"
                ),
                env=section(RUN.env),
                policy=policy,
                seed=RUN.seed,
                seeds=lambda wildcards, group=group: seeds_of(group, wildcards),
                code=class_code(
                    "rtc.training", "objective", settings.objective["objective"]
                ),
            script:
                "../scripts/policy.py"


for policy, settings in IMPORTED.items():

    rule:
        name:
            f"policy_{policy}"
        input:
            level="results/levels/{level}.npz",
        output:
            summary=policy_files(policy, "policy.json"),
            checkpoints=directory(policy_files(policy, "checkpoints")),
        log:
            f"results/logs/policies/{{level}}/{policy}_seed_{{seed}}.log",
        benchmark:
            f"results/benchmarks/policies/{{level}}/{policy}_seed_{{seed}}.tsv"
        threads: 1
        resources:
            **stage_resources("figures"),
        params:
            source=settings.source,
            files=lambda wildcards, source=settings.source: source_digest(
                source, wildcards.level
            ),
            policy=policy,
            chunk_size=RUN.chunk_size,
            code=code_digest("rtc.exchange.policies"),
        script:
            "../scripts/import_policy.py"
