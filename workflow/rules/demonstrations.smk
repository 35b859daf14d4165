# Levels -> solutions of a level, along which its experts may begin (experts.demonstrations).


rule demonstrations:
    input:
        level="results/levels/{level}.npz",
    output:
        "results/demonstrations/{level}.npz",
    log:
        "results/logs/demonstrations/{level}.log",
    benchmark:
        "results/benchmarks/demonstrations/{level}.tsv"
    priority: 4
    threads: stage_threads("experts")
    resources:
        **stage_resources("experts", GPU),
    params:
        config=lambda wildcards: section(run_at(wildcards).demonstrations),
        env=section(RUN.env),
        seed=RUN.seed,
        code=code_digest("rtc.experts.demonstrations"),
    script:
        "../scripts/demonstrations.py"
