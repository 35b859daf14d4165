"""Digests of a stage's code: what is imported counts, what is said about it does not."""

import shutil
from pathlib import Path

import pytest

from rtc.jobs import sources


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A small package `rtc` of four modules to edit, in a folder where Snakemake was."""
    (tmp_path / ".snakemake").mkdir()
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "rtc"
    (root / "methods").mkdir(parents=True)
    (root / "__init__.py").write_text("")
    (root / "base.py").write_text('"""Doc."""\nVALUE = 1\n')
    (root / "stage.py").write_text("def run():\n    from rtc.base import VALUE\n    return VALUE\n")
    (root / "other.py").write_text("VALUE = 3\n")
    (root / "methods" / "__init__.py").write_text("from . import a\nfrom rtc.methods import b\n")
    (root / "methods" / "a.py").write_text("A = 1\n")
    (root / "methods" / "b.py").write_text("B = 1\n")
    monkeypatch.setattr(sources, "PACKAGE", root)

    def digest(module="rtc.stage", without=()):
        for cached in (
            sources.code_digest,
            sources._package,
            sources._imports,
            sources._file_of,
        ):
            cached.cache_clear()
        return sources.code_digest(module, without)

    yield root, digest
    shutil.rmtree(root)
    for cached in (
        sources.code_digest,
        sources._package,
        sources._imports,
        sources._file_of,
    ):
        cached.cache_clear()


def test_a_changed_import_changes_the_digest(package):
    root, digest = package
    before = digest()
    (root / "base.py").write_text('"""Doc."""\nVALUE = 2\n')
    assert digest() != before


def test_comments_docstrings_and_strangers_do_not_count(package):
    root, digest = package
    before = digest()
    (root / "base.py").write_text('"""Other words."""\n# why\nVALUE = 1  # one\n')
    (root / "other.py").write_text("VALUE = 4\n")
    assert digest() == before


def test_the_sentence_beside_a_field_does_not_count(package):
    root, digest = package
    field = "class A:\n    x: Annotated[int, Meta(ge={}, description={!r})] = 1\n"
    (root / "base.py").write_text(field.format(1, "What it is."))
    before = digest()
    (root / "base.py").write_text(field.format(1, "What it is, in better words."))
    assert digest() == before
    (root / "base.py").write_text(field.format(2, "What it is."))
    assert digest() != before


def test_what_was_read_is_kept_and_read_again_only_where_it_changed(package, monkeypatch):
    root, digest = package
    before = digest()
    read = []
    parse = sources._read
    monkeypatch.setattr(
        sources, "_read", lambda path, text: read.append(path.name) or parse(path, text)
    )
    assert digest() == before and read == []
    (root / "base.py").write_text("VALUE = 2\n")
    changed = digest()
    assert changed != before and read == ["base.py"]
    sources.NOTES.write_text('{"damaged": ')
    assert digest() == changed
    sources.NOTES.unlink()
    sources.NOTES.parent.rmdir()
    assert digest() == changed and not sources.NOTES.parent.exists()


def test_left_out_modules_do_not_count(package):
    root, digest = package
    before = digest("rtc.methods", ("rtc.methods.b",))
    (root / "methods" / "b.py").write_text("B = 2\n")
    assert digest("rtc.methods", ("rtc.methods.b",)) == before
    (root / "methods" / "a.py").write_text("A = 2\n")
    assert digest("rtc.methods", ("rtc.methods.b",)) != before


def test_the_real_stages_depend_on_what_they_should():
    files = sources.imported_files("rtc.experts")
    names = {p.relative_to(Path(sources.PACKAGE)).as_posix() for p in files}
    assert "levels/level.py" in names
    assert not any(name.startswith("report/") for name in names)
    assert not any(name.startswith("methods/") for name in names)


def test_an_unknown_module_is_an_error():
    with pytest.raises(FileNotFoundError, match=r"rtc\.nothing"):
        sources.imported_files("rtc.nothing")
