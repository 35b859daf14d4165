# Levels -> experts -> data sets -> policies -> evaluations -> figures -> report.
# What each key of the configuration means: workflow/schemas/config.schema.yaml
HERE = "config/config.yaml"


# Of a working directory that has none (--directory) it is the one beside this file.
configfile: HERE if os.path.exists(HERE) else f"{workflow.basedir}/{HERE}"


report: "workflow/report/workflow.rst"


# Jobs need no container; a cluster that wants one can run every rule in the stock Python image
# after `pip install -e .` in it (snakemake --sdm apptainer).
container: "docker://python:3.11-slim"


include: "workflow/rules/common.smk"
include: "workflow/rules/levels.smk"
include: "workflow/rules/demonstrations.smk"
include: "workflow/rules/experts.smk"
include: "workflow/rules/datasets.smk"
include: "workflow/rules/policies.smk"
include: "workflow/rules/heads.smk"
include: "workflow/rules/evaluations.smk"
include: "workflow/rules/traces.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/pretrained.smk"


localrules:
    all,


rule all:
    default_target: True
    input:
        ALL_FIGURES,
        ALL_VIDEOS,
        ALL_TRACES,
        expand("results/levels/{level}.png", level=LEVELS),
        "results/evaluations.csv",
        "results/summary.md",
        "results/datasets/README.md" if TRAINED else [],


# The report is written when a run of everything ends; a part built by name leaves it as it is.
onsuccess:
    if not set(workflow.dag_settings.targets) - {"all"}:
        write_report(config, workflow.main_snakefile)
