"""From what a person types to a level and a policy's folder."""

from pathlib import Path

from rtc.errors import ArtifactError, LevelError
from rtc.flow.loading import read_policy_info
from rtc.levels import Level, load_level
from rtc.storage.checkpoints import list_checkpoints

PREFERRED = "flow"


def find_level(text: str) -> Level:
    """A level by its name, by a file, or by a path whose stem names one.

    `worlds/l/grasp_easy.json` means grasp_easy where no such file exists.
    Raises LevelError.
    """
    path = Path(text)
    if path.suffix in (".json", ".yaml", ".yml") and not path.is_file():
        try:
            return load_level(path.stem)
        except LevelError as error:
            raise LevelError(f"{text}: no such file, and no level is called so ({error})") from None
    return load_level(text)


def trained_policies(run_path: str | Path) -> dict[Path, str]:
    """The folders of policies in or below `run_path`, each with its level's name.

    run_path: a run's `results/`, its `results/policies`, a folder below, or one policy's.
    Policies called "flow" come first, then by name; seeds by number.
    Raises ArtifactError if there is none.
    """
    root = Path(run_path)
    if not root.is_dir():
        raise ArtifactError(f"{root}: no such folder; expected results/ or a policy's folder")
    if (root / "policy.json").is_file():
        found = [root]
    else:
        start = root / "policies" if (root / "policies").is_dir() else root
        found = [path.parent for depth in range(1, 4) for path in start.glob(_deep(depth))]
    if not found:
        raise ArtifactError(
            f"{root}: no trained policy in it (no policy.json); run the pipeline first: make"
        )
    return {
        folder: str(read_policy_info(folder)["level"]["name"])
        for folder in sorted(found, key=_order)
    }


def _deep(depth: int) -> str:
    return "/".join(["*"] * depth + ["policy.json"])


def _order(folder: Path) -> tuple:
    number = folder.name.removeprefix("seed_")
    seed = int(number) if number.isdecimal() else 0
    parent = folder.parent
    return (str(parent.parent), parent.name != PREFERRED, parent.name, seed, folder.name)


def find_policy(run_path: str | Path, level: str) -> Path:
    """The folder of the first policy of a level in or below `run_path`.

    Raises ArtifactError naming the levels that there are policies of.
    """
    policies = trained_policies(run_path)
    for folder, trained_on in policies.items():
        if trained_on == level:
            return folder
    levels = sorted(set(policies.values()))
    raise ArtifactError(
        f"{run_path}: no policy of level {level!r}; there are policies of {', '.join(levels)}"
    )


def find_epoch(folder: str | Path, step: int) -> int:
    """The epoch of a checkpoint: `step` itself, or counted from the last one if negative.

    Raises ArtifactError naming the epochs that there are.
    """
    kept = list(list_checkpoints(Path(folder) / "checkpoints"))
    if step in kept:
        return step
    if -len(kept) <= step < 0:
        return kept[step]
    there = ", ".join(map(str, kept)) or "none"
    raise ArtifactError(
        f"{folder}: no checkpoint {step} (--config.step); there are {there}, and -1 is the last"
    )
