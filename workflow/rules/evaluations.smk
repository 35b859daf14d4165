# Policies x methods -> a row per (delay, horizon) and the single rollouts; then one table.
EVALUATION = "results/evaluations/{level}/{policy}/seed_{seed}/{method}"
EVALUATIONS = [
    EVALUATION.format(level=level, policy=method.policy, seed=seed, method=label)
    for level in LEVELS
    for label, method in RUN.methods.items()
    for seed in range(RUN.policies[method.policy].seeds)
]
# Methods that draw several samples take longest; begun last, they would run alone in the end.
SAMPLING = [
    label
    for label, method in RUN.methods.items()
    if method.options.get("samples", 1) != 1
]


for name, labels in method_groups().items():

    rule:
        name:
            name
        input:
            level="results/levels/{level}.npz",
            policy=of_methods(labels, f"{POLICY}/policy.json")[0],
            checkpoints=of_methods(labels, f"{POLICY}/checkpoints")[0],
            heads=heads_of(labels),
            reference=kick_reference,
        output:
            cells=of_methods(labels, f"{EVALUATION}.csv"),
            rollouts=of_methods(labels, f"{EVALUATION}.parquet"),
            timing=of_methods(labels, f"{EVALUATION}.timing.csv"),
        log:
            shared_name(
                labels,
                "results/logs/evaluations/{level}/{policy}/seed_{seed}/{method}.log",
            ),
        benchmark:
            shared_name(
                labels,
                "results/benchmarks/evaluations/{level}/{policy}/seed_{seed}/{method}.tsv",
            )
        priority: int(not set(SAMPLING).isdisjoint(labels or []))
        threads: stage_threads("evaluations")
        resources:
            **stage_resources("evaluations", GPU),
        params:
            methods=lambda wildcards, labels=labels: {
                label: section(RUN.methods[label])
                for label in methods_of(labels, wildcards)
            },
            cells=[dataclasses.asdict(cell) for cell in RUN.cells],
            config=section(RUN.evaluation, "cells", "methods_per_job"),
            env=section(RUN.env),
            seed=RUN.seed,
            code=lambda wildcards, labels=labels: {
                label: method_code(RUN.methods[label].method)
                for label in methods_of(labels, wildcards)
            },
        script:
            "../scripts/evaluation.py"


if SAMPLING and RUN.evaluation.methods_per_job == 1:

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
