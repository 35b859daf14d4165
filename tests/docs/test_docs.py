"""The documentation says what is: links lead somewhere, commands and settings exist, the API is
complete, the site builds."""

import ast
import importlib
import importlib.util
import inspect
import pkgutil
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

import rtc
from rtc.__main__ import _parser
from rtc.config.run import load_files

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
TEXTS = [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "config" / "README.md"]
SITE = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
IDENTIFIERS = [
    name
    for page in PAGES
    for name in re.findall(r"^::: (\S+)", page.read_text(encoding="utf-8"), flags=re.M)
]
# What users import from; each name in their `__all__` has to be in the API pages.
PACKAGES = ["levels", "env", "flow", "methods", "experts", "datasets", "training", "evaluate"]
# Sections of the configuration that the examples in the docs show, alone or together.
EXAMPLES = {"policies", "heads", "methods", "evaluation"}
PACKAGES = [f"rtc.{name}" for name in [*PACKAGES, "visualize", "traces", "exchange"]]


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def nav_pages(entries) -> list[str]:
    if isinstance(entries, str):
        return [entries]
    if isinstance(entries, dict):
        entries = entries.values()
    return [page for entry in entries for page in nav_pages(entry)]


def commands(text: str) -> list[list[str]]:
    """Command lines of a text: indented ones and those in backquotes, as arguments."""
    lines = re.findall(r"^ {4}(\S.*)$", text, flags=re.M) + re.findall(r"`([^`\n]+)`", text)
    starts = ("snakemake ", "make ", "python -m rtc", "python examples/", "pytest")
    return [shlex.split(line, comments=True) for line in lines if line.startswith(starts)]


ALL_COMMANDS = [
    pytest.param(command, id=f"{relative(page)}: {' '.join(command)[:60]}")
    for page in TEXTS
    for command in commands(page.read_text(encoding="utf-8"))
]


def test_the_menu_names_every_page():
    assert sorted(nav_pages(SITE["nav"])) == [p.relative_to(DOCS).as_posix() for p in PAGES]


@pytest.mark.parametrize("page", TEXTS, ids=relative)
def test_links_lead_somewhere(page):
    text = re.sub(r"```.*?```|`[^`]*`", "", page.read_text(encoding="utf-8"), flags=re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"[a-z]+://|#", target):
            assert (page.parent / target.split("#")[0]).exists(), f"{relative(page)}: {target}"


@pytest.mark.parametrize("command", ALL_COMMANDS)
def test_commands_name_what_exists(command):
    if command[0] == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.M)
        assert {c for c in command[1:] if "=" not in c} <= set(targets)
    for option, kind in (("--configfile", Path.is_file), ("--profile", Path.is_dir)):
        if option in command and (name := command[command.index(option) + 1]) != "my.yaml":
            assert kind(ROOT / name), name
    if command[:3] == ["python", "-m", "rtc"] and len(command) > 3 and command[3][0] != "-":
        (subcommands,) = [a.choices for a in _parser()._actions if a.choices]
        assert command[3] in subcommands
    if command[0] == "python" and command[1].startswith("examples/"):
        assert (ROOT / command[1]).is_file()


@pytest.mark.parametrize("command", ALL_COMMANDS)
def test_settings_on_the_command_line_are_valid(command, tmp_path):
    if "--config" not in command:
        return
    given = command[command.index("--config") + 1 :]
    settings = [part.split("=", 1) for part in given if re.match(r"[a-z_]+=", part)]
    assert settings
    over = {key: yaml.safe_load(value) for key, value in settings}
    base = [ROOT / command[i + 1] for i, word in enumerate(command) if word == "--configfile"]
    assert check(over, tmp_path, my_level=over.pop("levels", None) == ["push"], base=base)


@pytest.mark.parametrize("page", TEXTS, ids=relative)
def test_settings_in_examples_are_valid(page, tmp_path):
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"```yaml\n(.*?)```", text, flags=re.S)
    blocks += re.findall(r"\n\n((?: {4}.*\n)+)", text)
    for block in blocks:
        try:
            settings = yaml.safe_load(inspect.cleandoc(block))
        except yaml.YAMLError:
            continue
        if isinstance(settings, dict) and set(settings) <= EXAMPLES:
            assert check(settings, tmp_path), block


def check(over: dict, tmp_path: Path, my_level: bool = False, base: Sequence[Path] = ()):
    file = tmp_path / "over.yaml"
    file.write_text(yaml.safe_dump(over))
    return load_files([ROOT / "config/config.yaml", *base, file]) or my_level


@pytest.mark.parametrize("page", TEXTS, ids=relative)
def test_python_examples_import_what_exists(page):
    for code in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.S):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("rtc"):
                module = importlib.import_module(node.module)
                for alias in node.names:
                    assert hasattr(module, alias.name), f"{node.module}.{alias.name}"
            if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "rtc":
                assert hasattr(rtc, node.attr) or importlib.import_module(f"rtc.{node.attr}")


@pytest.mark.parametrize("identifier", IDENTIFIERS)
def test_what_the_api_shows_exists_and_is_documented(identifier):
    shown = pkgutil.resolve_name(identifier)
    assert inspect.getdoc(shown), f"{identifier} has no docstring"
    if inspect.ismodule(shown):
        for name, member in vars(shown).items():
            own = getattr(member, "__module__", None) == identifier and not name.startswith("_")
            if own and (inspect.isfunction(member) or inspect.isclass(member)):
                assert inspect.getdoc(member), f"{identifier}.{name} has no docstring"


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_in_the_api(package):
    module = importlib.import_module(package)
    shown = [pkgutil.resolve_name(name) for name in IDENTIFIERS]
    for name in module.__all__:
        value = getattr(module, name)
        home = getattr(value, "__module__", None)
        if inspect.isfunction(value) or inspect.isclass(value):
            assert any(value is s for s in shown) or {home, package} & set(IDENTIFIERS), name


def test_no_page_needs_the_network():
    for path in [*PAGES, *DOCS.rglob("*.svg"), *DOCS.rglob("*.css"), *DOCS.rglob("*.js")]:
        text = path.read_text(encoding="utf-8")
        assert "```mermaid" not in text, path
        assert not re.search(r"(src|href)=\"https?:|url\(.?https?:|@import", text), path
        assert not re.search(r"!\[[^\]]*\]\(https?:", text), path
    assert SITE["theme"]["font"] is False
    assert any("iframe-worker" in script for script in SITE["extra"]["polyfills"])


def test_the_site_builds_without_a_warning(tmp_path):
    if importlib.util.find_spec("mkdocs") is None or importlib.util.find_spec("material") is None:
        pytest.skip("mkdocs is not installed; make docs installs it and builds the site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", str(tmp_path / "site")]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    linked = re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=\"?https?:", index(tmp_path))
    assert linked == []


def index(folder: Path) -> str:
    return "".join(p.read_text(encoding="utf-8") for p in (folder / "site").rglob("*.html"))
