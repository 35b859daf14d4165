# Experts -> a parquet data set per level, and one card for the folder.


rule dataset:
    input:
        level="results/levels/{level}.npz",
        summaries=experts_of("expert.json"),
        checkpoints=experts_of("checkpoints"),
    output:
        "results/datasets/{level}.parquet",
    log:
        "results/logs/datasets/{level}.log",
    benchmark:
        "results/benchmarks/datasets/{level}.tsv"
    priority: 3
    threads: stage_threads("datasets")
    resources:
        **stage_resources("datasets", GPU),
    params:
        config=lambda wildcards: section(run_at(wildcards).datasets),
        env=section(RUN.env),
        seed=RUN.seed,
        code=code_digest("rtc.datasets"),
    script:
        "../scripts/dataset.py"


rule dataset_card:
    input:
        expand("results/datasets/{level}.parquet", level=LEVELS),
    output:
        "results/datasets/README.md",
    log:
        "results/logs/datasets/card.log",
    benchmark:
        "results/benchmarks/datasets/card.tsv"
    threads: 1
    resources:
        **stage_resources("figures"),
    params:
        code=code_digest("rtc.datasets"),
    script:
        "../scripts/dataset_card.py"
