# Level files -> plain arrays and a picture. Only this stage and the drawing import kinetix.


rule level:
    input:
        level_input,
    output:
        arrays="results/levels/{level}.npz",
        picture=report(
            "results/levels/{level}.png",
            caption="../report/level.rst",
            category="Levels",
            labels={"level": "{level}"},
        ),
    log:
        "results/logs/levels/{level}.log",
    benchmark:
        "results/benchmarks/levels/{level}.tsv"
    threads: stage_threads("levels")
    resources:
        **stage_resources("levels"),
    params:
        source=level_source,
        code=code_digest("rtc.env.render"),
    script:
        "../scripts/level.py"
