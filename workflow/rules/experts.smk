# Levels -> RPO experts, one target per level and seed: results/experts/{level}/seed_{seed}


for group in seed_groups(RUN.experts.seeds, RUN.experts.seeds_per_job):

    rule:
        name:
            group_name("expert", group)
        input:
            level="results/levels/{level}.npz",
            demonstrations=demonstrations_of,
        output:
            summary=per_seed(f"{EXPERT}/expert.json", group),
            progress=per_seed(f"{EXPERT}/progress.csv", group),
            checkpoints=directory(per_seed(f"{EXPERT}/checkpoints", group)),
        log:
            "results/logs/experts/{level}/"
            + ("seed_{seed}" if group is None else f"seeds_{group[0]}")
            + ".log",
        benchmark:
            "results/benchmarks/experts/{level}/"
            + ("seed_{seed}" if group is None else f"seeds_{group[0]}")
            + ".tsv"
        priority: 3
        threads: stage_threads("experts")
        resources:
            **stage_resources("experts", GPU),
        params:
            config=lambda wildcards: section(
                run_at(wildcards).experts, "seeds", "seeds_per_job", "video"
            ),
            env=section(RUN.env),
            seed=RUN.seed,
            seeds=lambda wildcards, group=group: seeds_of(group, wildcards),
            code=code_digest("rtc.experts"),
        script:
            "../scripts/expert.py"


# All seeds of a level in one job: it takes longer to import Kinetix and to trace the physics
# than to draw an episode.
rule expert_videos:
    input:
        level="results/levels/{level}.npz",
        summaries=experts_of("expert.json"),
        checkpoints=experts_of("checkpoints"),
    output:
        [expert_film(seed) for seed in range(RUN.experts.seeds)],
    log:
        "results/logs/experts/{level}/videos.log",
    benchmark:
        "results/benchmarks/experts/{level}/videos.tsv"
    threads: 1
    resources:
        **stage_resources("figures"),
    params:
        env=section(RUN.env),
        seed=RUN.seed,
        code=code_digest("rtc.experts.video"),
    script:
        "../scripts/expert_videos.py"
