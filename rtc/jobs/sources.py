"""Which source files a module reads, directly or not, and a digest of what they say.

The workflow gives each stage's digest to its rule as a parameter, so an edit under `rtc/`
re-runs the stages that import the edited file and no others. Comments, docstrings and layout
do not count. What was read is kept beside Snakemake's own notes: parsing the package anew takes
a second, a fifth of the planning.
"""

import ast
import contextlib
import functools
import hashlib
import json
import sys
from pathlib import Path

from rtc.storage.io import write_json

PACKAGE = Path(__file__).parents[1]
# In the working directory, where Snakemake makes the folder; without it nothing is kept.
NOTES = Path(".snakemake/rtc_sources.json")
DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def imported_files(module: str, without: tuple[str, ...] = ()) -> list[Path]:
    """Files under `rtc/` that importing and using `module` reads, itself among them, sorted.

    module: a dotted name such as "rtc.experts". Imports inside functions count.
    without: modules to leave out, with what only they read.
    Raises FileNotFoundError if there is no such module.
    """
    closed = {_file_of(name) for name in without}
    first = _file_of(module)
    if first is None:
        raise FileNotFoundError(f"no module {module} under {PACKAGE}")
    seen: set[Path] = set()
    queue = [first]
    while queue:
        path = queue.pop()
        if path not in seen and path not in closed:
            seen.add(path)
            queue.extend(_imports(path))
    return sorted(seen)


@functools.cache
def code_digest(module: str, without: tuple[str, ...] = ()) -> str:
    """Sixteen hex digits over the code that `module` reads, comments and docstrings aside.

    without: as for `imported_files`.
    """
    sha = hashlib.sha256()
    for path in imported_files(module, without):
        sha.update(path.relative_to(PACKAGE).as_posix().encode())
        sha.update(_package()[path][0].encode())
    return sha.hexdigest()[:16]


def class_digest(name: str) -> str:
    """Sixteen hex digits over the file that holds "package.module:Class", comments aside.

    What that file imports is not followed. Empty if there is no such Python file.
    """
    from rtc.config.source_code import Undecided, locate
    from rtc.errors import RtcError

    try:
        body = locate(name.partition(":")[0]).body
    except (RtcError, Undecided):
        return ""
    return hashlib.sha256("".join(map(ast.dump, body)).encode()).hexdigest()[:16]


@functools.cache
def _imports(path: Path) -> tuple[Path, ...]:
    files = (_file_of(name) for name in _package()[path][1])
    # The package's own front (lazy public names) pulls nothing in by itself.
    return tuple(f for f in files if f is not None and f != PACKAGE / "__init__.py")


@functools.cache
def _package() -> dict[Path, tuple[str, list[str]]]:
    """Of every file of the package what `_read` says of it; known by its content, never stale."""
    known = {}
    with contextlib.suppress(OSError, ValueError):
        known = json.loads(NOTES.read_text(encoding="utf-8"))
    found, keys = {}, {}
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        said = f"{sys.version_info[:2]} {_module_of(path)} {text}"
        keys[path] = hashlib.sha256(said.encode()).hexdigest()
        digest, names = known.get(keys[path]) or _read(path, text)
        found[path] = digest, names
    if NOTES.parent.is_dir() and known.keys() != set(keys.values()):
        with contextlib.suppress(OSError):
            write_json(NOTES, {keys[path]: found[path] for path in found})
    return found


def _read(path: Path, text: str) -> tuple[str, list[str]]:
    """Digest of what a file says, comments and docstrings aside, and our modules that it names."""
    tree, here = ast.parse(text), _module_of(path)
    names: set[str] = set()
    # Statements alone: expressions, which are most of a tree, neither import nor document.
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, here, path)
            names.add(base)
            names.update(f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.AnnAssign):
            _drop_meaning(node.annotation)
        for block in ("body", "orelse", "finalbody", "handlers", "cases"):
            inner = getattr(node, block, None)
            waiting.extend(inner if isinstance(inner, list) else ())
        if isinstance(node, DOCUMENTED) and node.body and _is_text(node.body[0]):
            node.body = node.body[1:] or [ast.Pass()]
    ours = sorted(name for name in names if name.split(".")[0] == PACKAGE.name)
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest(), ours


def _drop_meaning(annotation: ast.expr) -> None:
    """Takes out the sentence beside a field: `Annotated[int, Meta(ge=1, description="...")]`."""
    for node in ast.walk(annotation):
        if isinstance(node, ast.Call):
            node.keywords = [word for word in node.keywords if word.arg != "description"]


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _absolute(node: ast.ImportFrom, here: str, path: Path) -> str:
    if not node.level:
        return node.module or ""
    parts = here.split(".")
    drop = node.level - (1 if path.name == "__init__.py" else 0)
    parts = parts[: len(parts) - drop] if drop else parts
    return ".".join([*parts, *([node.module] if node.module else [])])


def _module_of(path: Path) -> str:
    parts = [PACKAGE.name, *path.relative_to(PACKAGE).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@functools.cache
def _file_of(module: str) -> Path | None:
    base = PACKAGE.joinpath(*module.split(".")[1:])
    for candidate in (base.with_suffix(".py"), base / "__init__.py"):
        if candidate.is_file() and candidate != PACKAGE.with_suffix(".py"):
            return candidate
    return None
