# Policies -> heads: small networks trained on top of a frozen policy, one for each of its seeds.
for head, settings in RUN.heads.items():

    rule:
        name:
            f"head_{head}"
        input:
            level="results/levels/{level}.npz",
            policy=policy_files(settings.policy, "policy.json"),
            experts=(
                experts_of("expert.json")
                if settings.data == "policy" and settings.expert is None
                else []
            ),
            dataset=(
                "results/datasets/{level}.parquet"
                if settings.data == "dataset"
                else []
            ),
        output:
            summary=f"{HEAD}/head.json".replace("{head}", head),
            progress=f"{HEAD}/progress.csv".replace("{head}", head),
            checkpoints=directory(f"{HEAD}/checkpoints".replace("{head}", head)),
        log:
            f"results/logs/heads/{{level}}/{head}_seed_{{seed}}.log",
        benchmark:
            f"results/benchmarks/heads/{{level}}/{head}_seed_{{seed}}.tsv"
        threads: stage_threads("heads")
        resources:
            **stage_resources("heads", GPU),
        params:
            config=section(settings),
            files=lambda wildcards, source=settings.expert: (
                source and source_digest(source, wildcards.level)
            ),
            env=section(RUN.env),
            flow_steps=RUN.evaluation.flow_steps,
            head=head,
            seed=RUN.seed,
            code=class_code("rtc.training.heads", "head", settings.head),
        script:
            "../scripts/head.py"
