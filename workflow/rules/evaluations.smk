# Policies x methods -> a row per (delay, horizon) and the single rollouts; then one table.
EVALUATION = "results/evaluations/{level}/{policy}/seed_{seed}/{method}"
EVALUATIONS = [
    EVALUATION.format(level=level, policy=method.policy, seed=seed, method=label)
    for level in LEVELS
    for label, method in RUN.methods.items()
    for seed in range(RUN.policies[method.policy].seeds)
]


rule evaluation:
    input:
        level="results/levels/{level}.npz",
        policy=f"{POLICY}/policy.json",
        checkpoints=f"{POLICY}/checkpoints",
    output:
        cells=f"{EVALUATION}.csv",
        rollouts=f"{EVALUATION}.parquet",
        timing=f"{EVALUATION}.timing.csv",
    log:
        f"results/logs/evaluations/{{level}}/{{policy}}/seed_{{seed}}/{{method}}.log",
    benchmark:
        f"results/benchmarks/evaluations/{{level}}/{{policy}}/seed_{{seed}}/{{method}}.tsv"
    threads: stage_threads("evaluations")
    resources:
        **stage_resources("evaluations", GPU),
    params:
        method=lambda wildcards: section(RUN.methods[wildcards.method]),
        cells=[dataclasses.asdict(cell) for cell in RUN.cells],
        config=section(RUN.evaluation, "cells"),
        env=section(RUN.env),
        seed=RUN.seed,
        code=lambda wildcards: method_code(RUN.methods[wildcards.method].method),
    script:
        "../scripts/evaluation.py"


# Methods that draw several samples take longest; begun last, they would run alone in the end.
SAMPLING = [
    label
    for label, method in RUN.methods.items()
    if method.options.get("samples", 1) != 1
]
if SAMPLING:

    use rule evaluation as evaluation_of_samples with:
        wildcard_constraints:
            method="|".join(map(re.escape, SAMPLING)),
        priority: 1

    ruleorder: evaluation_of_samples > evaluation


rule evaluations:
    input:
        cells=[f"{path}.csv" for path in EVALUATIONS],
        timing=[f"{path}.timing.csv" for path in EVALUATIONS],
    output:
        cells=report(
            "results/evaluations.csv",
            caption="../report/evaluations.rst",
            category="Tables",
            labels={"table": "all cells"},
        ),
        timing="results/timings.csv",
    log:
        "results/logs/evaluations/join.log",
    benchmark:
        "results/benchmarks/evaluations/join.tsv"
    threads: 1
    resources:
        **stage_resources("figures"),
    params:
        code=code_digest("rtc.storage.tables"),
    script:
        "../scripts/evaluations.py"
