# Inside the flow: one decision under delay drawn step by step; naive beside realtime as a video.
# The first method that guides, and the policy it runs on, are what is looked at.
GUIDED = next((m.policy for m in RUN.methods.values() if m.method == "realtime"), None)
PICTURES = {
    "chunk_timeline.png": "1 chunks over an episode",
    "rtc_overlay.png": "2 the decision",
    "rtc_trajectories.png": "3 the chunk while it forms",
    "rtc_flow_steps.png": "4 inside the flow",
    "rtc_error.png": "5 error over flow steps",
    "rtc_dimensions.png": "6 action dimensions",
    "rtc_comparison.png": "7 with and without guidance",
    "rtc_comparison_grid.png": "8 with and without, grid",
    "chunk_forming.mp4": "9 a chunk forming (film)",
}
TRACES = [f"results/traces/{{level}}/{name}" for name in PICTURES]
ALL_TRACES = expand(TRACES, level=LEVELS) if GUIDED else []
ALL_VIDEOS = expand("results/videos/{level}.mp4", level=LEVELS) if GUIDED else []
if RUN.experts.video and TRAINED:
    ALL_VIDEOS += expand(
        f"{EXPERT}/rollout.mp4", level=LEVELS, seed=range(RUN.experts.seeds)
    )


if GUIDED:

    rule trace:
        input:
            level="results/levels/{level}.npz",
            policy=f"results/policies/{{level}}/{GUIDED}/seed_0/policy.json",
            checkpoints=f"results/policies/{{level}}/{GUIDED}/seed_0/checkpoints",
        output:
            [
                report(
                    f"results/traces/{{level}}/{name}",
                    caption=f"../report/traces_{Path(name).stem}.rst",
                    category="Traces",
                    subcategory="{level}",
                    labels={"level": "{level}", "kind": kind},
                )
                for name, kind in PICTURES.items()
            ],
            numbers="results/traces/{level}/tracked_steps.npz",
            decision="results/traces/{level}/decision.json",
        log:
            "results/logs/traces/{level}.log",
        benchmark:
            "results/benchmarks/traces/{level}.tsv"
        threads: 1
        resources:
            **stage_resources("figures"),
        params:
            config=section(RUN.traces),
            env=section(RUN.env),
            seed=RUN.seed,
            code=code_digest("rtc.traces"),
        script:
            "../scripts/trace.py"

    rule video:
        input:
            level="results/levels/{level}.npz",
            policy=f"results/policies/{{level}}/{GUIDED}/seed_0/policy.json",
            checkpoints=f"results/policies/{{level}}/{GUIDED}/seed_0/checkpoints",
        output:
            report(
                "results/videos/{level}.mp4",
                caption="../report/videos.rst",
                category="Videos",
                subcategory="{level}",
                labels={"level": "{level}", "kind": "naive and realtime"},
            ),
        log:
            "results/logs/videos/{level}.log",
        benchmark:
            "results/benchmarks/videos/{level}.tsv"
        threads: 1
        resources:
            **stage_resources("figures"),
        params:
            config=section(RUN.videos),
            flow_steps=RUN.evaluation.flow_steps,
            env=section(RUN.env),
            seed=RUN.seed,
            code=code_digest("rtc.traces"),
        script:
            "../scripts/video.py"
