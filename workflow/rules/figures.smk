# Tables -> figures and the report's opening page. A new figure: one line in rtc/report/figures/gallery.py,
# one line here, one caption in workflow/report/.
FIGURES = {
    "figure_5": ("Figures", "1 the paper's figure 5"),
    "figure_5_stratified": ("Figures", "2 figure 5, levels weighted equally"),
    "solve_rate_against_delay": ("Figures", "3 solve rate against delay"),
    "solve_rate_against_horizon": ("Figures", "4 solve rate against horizon"),
    "solve_rate_per_level": ("Figures", "5 solve rate per level"),
    "solve_rate_map": ("Figures", "6 solve rate over delay and horizon"),
    "paired_differences": ("Figures", "7 paired differences"),
    "smoothness": ("Figures", "8 smoothness against delay"),
    "solve_rate_against_time": ("Figures", "9 solve rate against time per chunk"),
    "time_to_solve": ("Figures", "10 time to solve against delay"),
    "solve_rate_at_fair_delay": ("Figures", "11 solve rate where time counts"),
    "figure_8": ("Figures", "masks of the prefix (figure 8)"),
    "expert_curves": ("Training", "experts"),
    "policy_curves": ("Training", "policies"),
}
# Drawn where the configuration asks the question: several betas, an estimate that is wrong.
if (
    len({m.options.get("beta") for m in RUN.methods.values() if m.method == "realtime"})
    > 1
):
    FIGURES["figure_7"] = (
        "Figures",
        "solve rate and acceleration against beta (figure 7)",
    )
if any(cell.delay != cell.estimate for cell in RUN.cells):
    FIGURES["solve_rate_against_estimate"] = ("Figures", "wrong and random delays")
ALL_FIGURES = expand(
    "results/figures/{figure}.{kind}", figure=FIGURES, kind=["svg", "png"]
)
PROGRESS = {
    "experts": {
        f"{level}/{seed}": f"{EXPERT}/progress.csv".format(level=level, seed=seed)
        for level in LEVELS
        for seed in range(RUN.experts.seeds)
        if TRAINED
    },
    "policies": {
        f"{level}/{policy}/{seed}": f"{POLICY}/progress.csv".format(
            level=level, policy=policy, seed=seed
        )
        for level in LEVELS
        for policy in TRAINED
        for seed in range(TRAINED[policy].seeds)
        if policy in {method.policy for method in RUN.methods.values()}
    },
}


rule figures:
    input:
        evaluations="results/evaluations.csv",
        timings="results/timings.csv",
        rollouts=[f"{path}.parquet" for path in EVALUATIONS],
        experts=list(PROGRESS["experts"].values()),
        policies=list(PROGRESS["policies"].values()),
    output:
        [
            report(
                f"results/figures/{name}.svg",
                caption=f"../report/{name}.rst",
                category=category,
                labels={"figure": label},
            )
            for name, (category, label) in FIGURES.items()
        ],
        expand("results/figures/{figure}.png", figure=FIGURES),
        table=report(
            "results/figures/paired_differences.html",
            caption="../report/paired_table.rst",
            category="Tables",
            labels={"table": "paired differences"},
        ),
        numbers="results/figures/paired_differences.csv",
    log:
        "results/logs/figures.log",
    benchmark:
        "results/benchmarks/figures.tsv"
    threads: 1
    resources:
        **stage_resources("figures"),
    params:
        experts=list(PROGRESS["experts"]),
        policies=list(PROGRESS["policies"]),
        names=list(FIGURES),
        threshold=RUN.datasets.min_solve_rate,
        cell=[RUN.traces.delay, RUN.traces.horizon],
        notes=list(RUN.notes),
        code=code_digest("rtc.report.figures.gallery"),
    script:
        "../scripts/figures.py"


rule summary:
    input:
        evaluations="results/evaluations.csv",
        timings="results/timings.csv",
        rollouts=[f"{path}.parquet" for path in EVALUATIONS],
        figure="results/figures/figure_5.png",
    output:
        markdown="results/summary.md",
        rst="results/summary.rst",
    log:
        "results/logs/summary.log",
    benchmark:
        "results/benchmarks/summary.tsv"
    threads: 1
    resources:
        **stage_resources("figures"),
    params:
        facts={
            "Levels": ", ".join(LEVELS),
        }
        | (
            {
                "Experts": f"{RUN.experts.seeds} seeds a level, "
                f"up to {RUN.experts.total_steps:,} environment steps each",
                "Data": f"{RUN.datasets.transitions:,} transitions a level",
            }
            if TRAINED
            else {}
        )
        | {
            "Policies": ", ".join(RUN.policies),
            "Methods": ", ".join(RUN.methods),
            "Evaluation": f"{len(RUN.cells)} cells x {RUN.evaluation.rollouts:,} rollouts, "
            f"{RUN.evaluation.flow_steps} flow steps",
            "Engine": RUN.env.engine,
            "Seed": str(RUN.seed),
        }
        | ({"Note": "; ".join(RUN.notes)} if RUN.notes else {}),
        code=code_digest("rtc.report.opening"),
    script:
        "../scripts/summary.py"
