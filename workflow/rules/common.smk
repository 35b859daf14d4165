# What every stage shares: the checked configuration, the names of levels, and digests of code.
# Of two jobs that could start, the one that more others wait for has the higher `priority:`.
import dataclasses
import gc
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import yaml
from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

from rtc.errors import RtcError
from rtc.levels import level_file
from rtc.levels.plan import plan_run
from rtc.levels.sources import level_inputs
from rtc.config.method_options import REGISTRIES, built_in
from rtc.config.sections import ImportedPolicy
from rtc.jobs.device import variables_not_used
from rtc.jobs.places import provide_folders
from rtc.jobs.sources import class_digest, code_digest
from rtc.storage.pretrained import levels_left_out, source_digest

# Jobs and files are kept until the end, by the hundred thousand at scale; looking them through
# for garbage every 700 objects takes a fifth of the planning.
gc.set_threshold(200_000, 50, 100)

# Of the command that runs a script, Snakemake quotes the script and not the interpreter, whose
# path may hold blanks or an apostrophe.
PYTHON = sys.executable
if Path(PYTHON).exists():
    sys.executable = shlex.quote(PYTHON)

try:
    # The scheduler writes to $TMPDIR without a look at it, and jobs inherit both folders.
    provide_folders(Path.cwd(), logger.warning)
    # Levels by the safe name of their files: as the user gave them, and where they lie.
    RUN, LEVELS, LEVEL_FILES = plan_run(config)
except RtcError as error:
    raise WorkflowError(str(error)) from None

if workflow.is_main_process:
    for note in RUN.notes:
        logger.warning(f"Note: {note}")
    if unused := sorted(variables_not_used(os.environ)):
        logger.warning(f"Note: set here, but not used by jobs: {', '.join(unused)}")

GPU = 0 if RUN.device == "cpu" else 1
EXPERT = "results/experts/{level}/seed_{seed}"
POLICY = "results/policies/{level}/{policy}/seed_{seed}"
HEAD = "results/heads/{level}/{head}/seed_{seed}"
TRAINED = {
    name: p for name, p in RUN.policies.items() if not isinstance(p, ImportedPolicy)
}
IMPORTED = {
    name: p for name, p in RUN.policies.items() if isinstance(p, ImportedPolicy)
}
# Levels whose policies are to be taken from pretrained/ and are not shipped there yet.
USED = {method.policy for method in RUN.methods.values()}
try:
    left_out = levels_left_out(
        [p.source for n, p in IMPORTED.items() if n in USED], LEVELS
    )
except RtcError as error:
    raise WorkflowError(str(error)) from None
if left_out:
    logger.warning(f"not in pretrained/, so left out: {', '.join(left_out)}")
    LEVELS = {name: level for name, level in LEVELS.items() if name not in left_out}


wildcard_constraints:
    level="[A-Za-z0-9][A-Za-z0-9_.-]*",
    policy="[A-Za-z0-9][A-Za-z0-9_-]*",
    method="[A-Za-z0-9][A-Za-z0-9_.-]*",
    seed="[0-9]+",


def level_source(wildcards):
    """The level that the user named; one that the config does not list may be a target too."""
    return LEVELS.get(wildcards.level, wildcards.level)


def run_at(wildcards):
    """The configuration as it is for the level of a job."""
    return RUN.at(level_source(wildcards))


def demonstrations_of(wildcards):
    """The solutions along which a level's experts begin, where they do."""
    searched = run_at(wildcards).experts.demonstrations == "search"
    return [f"results/demonstrations/{wildcards.level}.npz"] if searched else []


def level_input(wildcards):
    """The files that a level comes from."""
    if wildcards.level not in LEVEL_FILES:
        try:
            LEVEL_FILES[wildcards.level] = level_file(wildcards.level)
        except RtcError as error:
            raise WorkflowError(str(error)) from None
    # Sources, like the code: they lie here even where results live in object storage.
    return [local(str(path)) for path in level_inputs(LEVEL_FILES[wildcards.level])]


def stage_threads(stage):
    return RUN.resources[stage].threads


def stage_resources(stage, gpu=0):
    limits = RUN.resources[stage]
    # Kubernetes reads even `gpu: 0` as a wish for one, so other jobs do not name it.
    return {"mem_mb": limits.mem_mb, "runtime": limits.runtime} | (
        {"gpu": gpu} if gpu else {}
    )


def section(value, *without):
    """A section of the configuration as a plain dict, without keys that change no numbers."""
    return {k: v for k, v in dataclasses.asdict(value).items() if k not in without}


def seed_groups(seeds, per_job):
    """Seeds that share a job; [None] when each has its own and `{seed}` stays a wildcard."""
    if per_job == 1:
        return [None]
    return [range(s, min(s + per_job, seeds)) for s in range(0, seeds, per_job)]


def seeds_of(group, wildcards):
    return [int(wildcards.seed)] if group is None else list(group)


def per_seed(pattern, group):
    """The output pattern once per seed of a shared job, or with its wildcard kept."""
    if group is None:
        return [pattern]
    return [pattern.replace("{seed}", str(seed)) for seed in group]


def group_name(stage, group):
    return stage if group is None else f"{stage}_{group[0]}"


def experts_of(name):
    """One file of every expert of a level."""
    return lambda wildcards: expand(
        f"{EXPERT}/{name}", level=wildcards.level, seed=range(RUN.experts.seeds)
    )


def expert_film(seed):
    """The video of one expert, as it enters the report."""
    return report(
        f"{EXPERT}/rollout.mp4".replace("{seed}", str(seed)),
        caption="../report/expert_video.rst",
        category="Videos",
        subcategory="{level}",
        labels={"level": "{level}", "kind": f"expert, seed {seed}"},
    )


def policy_files(policy, name, group=None):
    """One file of a policy, once per seed of a shared job or with its wildcards kept."""
    return per_seed(f"{POLICY}/{name}".replace("{policy}", policy), group)


def start_inputs(policy, group):
    """The policy that this one starts from: its summaries for the seeds of the job."""
    start = TRAINED[policy].start_from
    if start is None:
        return lambda wildcards: []
    count = RUN.policies[start.policy].seeds
    return lambda wildcards: [
        f"results/policies/{wildcards.level}/{start.policy}/seed_{seed % count}/policy.json"
        for seed in seeds_of(group, wildcards)
    ]


def method_groups():
    """{rule's name: methods of one policy that share a job}; None is each on its own."""
    per_job = RUN.evaluation.methods_per_job
    if per_job == 1:
        return {"evaluation": None}
    groups = {}
    for policy in dict.fromkeys(method.policy for method in RUN.methods.values()):
        labels = [
            label for label, method in RUN.methods.items() if method.policy == policy
        ]
        for first in range(0, len(labels), per_job):
            groups[f"evaluation_{policy}_{first}"] = labels[first : first + per_job]
    return groups


def of_methods(labels, pattern):
    """The output pattern once per method of a shared job, or with its wildcards kept."""
    if labels is None:
        return [pattern]
    policy = RUN.methods[labels[0]].policy
    pattern = pattern.replace("{policy}", policy)
    return [pattern.replace("{method}", label) for label in labels]


def shared_name(labels, pattern):
    """One file of a job of several methods, called by all of them; or with its wildcards kept."""
    names = "+".join(labels or ["{method}"])[:80]
    return of_methods(labels and labels[:1], pattern.replace("{method}", names))[0]


def methods_of(labels, wildcards):
    return [wildcards.method] if labels is None else labels


def heads_of(labels):
    """The heads that the methods of a job act with, of the same level and seed."""
    return lambda wildcards: [
        f"{HEAD}/head.json".format(
            head=head, level=wildcards.level, seed=wildcards.seed
        )
        for head in dict.fromkeys(
            head
            for label in methods_of(labels, wildcards)
            for head in RUN.methods[label].heads
        )
    ]


def kick_reference(wildcards):
    """The policy whose play is the measure of a level's kicks, if there are any: of those that
    are evaluated the first by its name, so that it is the same for all methods."""
    used = min(method.policy for method in RUN.methods.values())
    path = POLICY.format(level=wildcards.level, policy=used, seed=0)
    return [f"{path}/policy.json"] if RUN.evaluation.kick_probability else []


def class_code(stage, noun, name):
    """Digest of a stage's code without the files of the other methods (or objectives, or heads),
    and of the file of one that is given by its import path."""
    package = REGISTRIES[noun][0].rpartition(".")[0]
    others = set(built_in(noun)) - {name}
    code = code_digest(stage, without=tuple(f"{package}.{other}" for other in others))
    return code + class_digest(name) if ":" in name else code


def method_code(method):
    """Digest of what evaluates one method."""
    return class_code("rtc.evaluate", "method", method)


def write_report(config, snakefile):
    """Writes results/report.html of the finished run, under the configuration it ran with."""
    used = Path("results/config.yaml")
    used.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    command = [PYTHON, "-m", "snakemake", "--snakefile", snakefile, "--nolock"]
    command += ["--workflow-profile", "none", "--configfile", str(used)]
    command += ["--quiet", "all", "--report", "results/report.html"]
    command += [
        "--report-stylesheet",
        str(Path(snakefile).parent / "workflow/report/style.css"),
    ]
    logger.info("Writing results/report.html ...")
    if subprocess.run(command).returncode:
        logger.error("The report could not be written; the results are complete.")
