# Level files -> plain arrays, and a picture. Only the drawing imports kinetix.


rule level:
    input:
        level_input,
    output:
        "results/levels/{level}.npz",
    log:
        "results/logs/levels/{level}.log",
    benchmark:
        "results/benchmarks/levels/{level}.tsv"
    threads: stage_threads("levels")
    resources:
        **stage_resources("levels"),
    params:
        source=level_source,
        code=code_digest("rtc.levels"),
    script:
        "../scripts/level.py"


rule level_picture:
    input:
        "results/levels/{level}.npz",
    output:
        report(
            "results/levels/{level}.png",
            caption="../report/level.rst",
            category="Levels",
            labels={"level": "{level}"},
        ),
    log:
        "results/logs/levels/{level}_picture.log",
    benchmark:
        "results/benchmarks/levels/{level}_picture.tsv"
    threads: stage_threads("levels")
    resources:
        **stage_resources("levels"),
    params:
        code=code_digest("rtc.env.render"),
    script:
        "../scripts/level_picture.py"
