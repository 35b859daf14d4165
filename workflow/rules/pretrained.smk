# What was learned -> pretrained/: `snakemake pretrained` ships the levels of the config that are
# finished, in float16, with a manifest and a card; other levels stay as they are there.
NEEDED = {policy: [] for policy in TRAINED if policy in USED}
for method in RUN.methods.values():
    if method.policy in NEEDED and method.options.get("weak_epoch") is not None:
        NEEDED[method.policy].append(method.options["weak_epoch"])


# No inputs, for what is missing or outdated is not to be made; no outputs, not even a benchmark, for
# it takes what it finds whenever it is asked.
rule pretrained:
    log:
        "results/logs/pretrained.log",
    threads: 1
    resources:
        **stage_resources("figures"),
    params:
        levels=list(LEVELS),
        policies=NEEDED,
    script:
        "../scripts/pretrained.py"
