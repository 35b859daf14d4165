"""What was learned, as it is shipped: the folder `pretrained/` and its manifest.

    pretrained/policies/{level}/{policy}/policy.json, checkpoints/{epoch}.safetensors
    pretrained/experts/{level}/seed_{seed}/expert.json, checkpoints/{update}.safetensors

Folders look as under `results/`, so what reads the ones reads the others. `manifest.json` holds
the SHA-256 and size of each file and, for each level, the digest of the level that it was learned
on, the commit, and what the run scored. Imports no jax.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from rtc.errors import ArtifactError, did_you_mean
from rtc.storage.float16 import MANIFEST, file_digest
from rtc.storage.io import write_json

FORMAT = 1
KINDS = ("policies", "experts")
# Large enough for the twelve levels, small enough to come along with every clone.
MOST_BYTES = 2**20
MOST_BYTES_IN_ALL = 25 * 2**20
# A level, or a level and one of its policies: "h17_unicycle", "h17_unicycle/flow_ttrtc".
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*(/[A-Za-z0-9][A-Za-z0-9_-]*)?")


def pretrained_folder() -> Path:
    """`pretrained/` below the working directory or, failing that, beside the package."""
    here = Path("pretrained")
    return here if (here / MANIFEST).is_file() else Path(__file__).parents[2] / "pretrained"


def read_manifest(folder: str | Path) -> dict[str, Any]:
    """The manifest of a folder; an empty one if there is none. Raises ArtifactError if damaged."""
    file = Path(folder) / MANIFEST
    if not file.exists():
        return {"format": FORMAT, "files": {}, "levels": {}}
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
        if manifest["format"] != FORMAT or not {"files", "levels"} <= set(manifest):
            raise ValueError(f"format {manifest['format']!r}, expected {FORMAT}")
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ArtifactError(
            f"{file}: no manifest of this version ({type(error).__name__}: {error}); "
            f"bring it back, or delete the folder and run: snakemake pretrained"
        ) from error
    return manifest


def find_pretrained(name: str | Path, kind: str, level_digest: Callable[[str], str]) -> Path | None:
    """The folder of a shipped policy or expert that is asked for by name.

    name: "h17_unicycle" (of policies the one called flow) or "h17_unicycle/flow_ttrtc".
    kind: "policies" or "experts". level_digest: of the level as it is today, by name.
    Returns None where `name` is a path: it exists, or has no such form. Raises ArtifactError if
    nothing is shipped for the level, or the level is another today.
    """
    if not isinstance(name, str) or not NAME.fullmatch(name) or Path(name).exists():
        return None
    level, _, item = name.partition("/")
    folder = pretrained_folder()
    levels = read_manifest(folder)["levels"]
    shipped = levels.get(level, {}).get(kind, {})
    if not shipped and item:
        return None
    if not shipped:
        there = [known for known, entry in levels.items() if entry.get(kind)]
        raise ArtifactError(
            f"{name}: no such folder, and no {kind} of such a level in {folder}"
            f"{did_you_mean(level, there)}"
        )
    item = item or ("flow" if "flow" in shipped else next(iter(shipped)))
    if item not in shipped:
        raise ArtifactError(f"{name}: not in {folder}{did_you_mean(item, shipped)}")
    check_level(level, levels[level]["digest"], level_digest(level), folder)
    return folder / kind / level / item


def find_source(source: str | Path) -> Path:
    """A path as it is or, if nothing is there and it begins with `pretrained`, in that folder."""
    source = Path(source)
    if not source.exists() and source.parts[:1] == ("pretrained",):
        return pretrained_folder().joinpath(*source.parts[1:])
    return source


def source_digest(source: str, level: str) -> str:
    """Sixteen hex digits over the names, sizes and times of all files that a source has.

    source: with {level} for the level's name. Empty if nothing is there. For the workflow, so that
    other files in the same place are imported anew.
    """
    place = find_source(source.replace("{level}", level))
    files = [place] if place.is_file() else sorted(p for p in place.rglob("*") if p.is_file())
    stats = [(str(p.relative_to(place)), p.stat().st_size, p.stat().st_mtime_ns) for p in files]
    return hashlib.sha256(repr(stats).encode()).hexdigest()[:16] if stats else ""


def levels_left_out(sources: Iterable[str], levels: Iterable[str]) -> list[str]:
    """Levels for which one of the sources under `pretrained/` is not shipped.

    sources: with {level} for the level's name. Raises ArtifactError if no level is left.
    """
    levels = list(levels)
    ours = [source for source in sources if Path(source).parts[:1] == ("pretrained",)]
    places = {level: [find_source(s.replace("{level}", level)) for s in ours] for level in levels}
    missing = [level for level in levels if not all(p.exists() for p in places[level])]
    if levels and len(missing) == len(levels):
        raise ArtifactError(
            f"{pretrained_folder()}: nothing is shipped for {', '.join(levels[:3])}"
            f"{', ...' if len(levels) > 3 else ''}; learn it: make, then snakemake pretrained"
        )
    return missing


def check_level(level: str, learned: str, today: str, where: Path) -> None:
    """Raises ArtifactError unless both digests are of one level."""
    if learned != today:
        raise ArtifactError(
            f"{where}: level {level!r} changed since this was learned (digest {learned[:12]} "
            f"then, {today[:12]} today); bring back its file, or learn it anew and run: "
            f"snakemake pretrained"
        )


def put_level(
    folder: str | Path, level: str, entry: Mapping[str, Any], sources: Mapping[str, Path]
) -> None:
    """Puts the files of one level into the folder, and says so in its manifest.

    entry: {"digest", "commit", "policies": {name: ...}, "experts": {name: ...}}; what is shipped
    under one of these names, or for the level as it was before it changed, is replaced, as are
    experts by experts. Other entries stay. sources: place in the folder -> file to be moved there.
    Raises ArtifactError, and leaves the folder as it was, if a file or all of them are too large.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    files, before = manifest["files"], manifest["levels"].get(level, {})
    merged, outdated = dict(entry), []
    for kind in KINDS:
        kept = before.get(kind, {}) if before.get("digest") == entry["digest"] else {}
        if kind == "experts" and entry[kind]:
            kept = {}
        outdated += [
            f"{kind}/{level}/{name}/"
            for name in before.get(kind, {})
            if name in entry[kind] or name not in kept
        ]
        merged[kind] = dict(sorted({**kept, **entry[kind]}.items()))
    files = {name: value for name, value in files.items() if not name.startswith(tuple(outdated))}
    for place, source in sources.items():
        files[place] = {"sha256": file_digest(source), "bytes": source.stat().st_size}
    _check_sizes(folder, files)
    for place in outdated:
        shutil.rmtree(folder / place, ignore_errors=True)
    for place, source in sources.items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(source, folder / place)
    levels = dict(sorted({**manifest["levels"], level: merged}.items()))
    files = dict(sorted(files.items()))
    write_json(folder / MANIFEST, {"format": FORMAT, "files": files, "levels": levels})


def _check_sizes(folder: Path, files: Mapping[str, Mapping[str, Any]]) -> None:
    for place, value in files.items():
        if value["bytes"] > MOST_BYTES:
            raise ArtifactError(
                f"{place}: {value['bytes']:,} bytes, at most {MOST_BYTES:,} are shipped; "
                f"train a smaller network (policies: channel_dim, experts: hidden_sizes)"
            )
    total = sum(value["bytes"] for value in files.values())
    if total > MOST_BYTES_IN_ALL:
        raise ArtifactError(
            f"{folder}: {total:,} bytes in all, at most {MOST_BYTES_IN_ALL:,} are shipped; "
            f"train smaller networks or ship fewer policies"
        )
