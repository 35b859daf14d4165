"""Level files as people have them: names that browsers give, capitals, marks; where they are."""

import json
import logging
import shutil
from pathlib import Path

import pytest

from rtc.config.text import read_files
from rtc.errors import ConfigError, LevelError
from rtc.levels import available_levels, level_file, load_level, safe_name
from rtc.levels.plan import plan_run
from rtc.levels.sources import level_folders, level_inputs, packaged_levels

JSON = packaged_levels()["s/h0_weak_thrust"]
BESIDE = level_folders()[1]
YAML = BESIDE / "h17_unicycle.yaml"


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("drone (1).json", "drone_1"),
        ("drone(2).JSON", "drone_2"),
        ("Drône été.json", "Drone_ete"),
        ("Dro\u0302ne.json", "Drone"),  # as macOS writes it
        ("_drone.json", "drone"),
        ("--drone--.yaml", "drone"),
        ("a & b, c's.yml", "a_b_c_s"),
        ("my level v1.2.YAML", "my_level_v1.2"),
        ("drone_v2.json", "drone_v2"),
        (".hidden.yaml", "hidden"),
        (f"{'x' * 150}.json", "x" * 100),
    ],
)
def test_a_file_is_taken_under_a_plain_name(here, caplog, file, name):
    shutil.copy(JSON if file.lower().endswith("json") else YAML, here / file)
    with caplog.at_level(logging.INFO, logger="rtc"):
        level = load_level(file)
    assert level.name == safe_name(file) == name
    assert level.digest == load_level("s/h0_weak_thrust" if "json" in file.lower() else YAML).digest
    plain = Path(file).stem == name
    assert (f"is called {name}: files and figures take plain letters" in caplog.text) != plain


@pytest.mark.parametrize("file", ["日本.json", "(_).yaml", "().JSON"])
def test_a_file_without_a_letter_is_told_a_name(here, file):
    shutil.copy(JSON, here / file)
    with pytest.raises(LevelError, match="rename it, to level_1 for instance"):
        load_level(file)


def test_a_name_with_a_line_break_is_refused_in_one_line(here):
    (here / "a\nb.json").touch()
    with pytest.raises(LevelError, match=r"^level 'a\\nb.json': a character that cannot be print"):
        load_level("a\nb.json")


@pytest.mark.parametrize("source", [JSON, YAML])
def test_a_byte_order_mark_is_no_part_of_the_level(here, source):
    file = here / f"mine{source.suffix}"
    file.write_bytes(b"\xef\xbb\xbf" + source.read_bytes())
    assert load_level(file).digest == load_level(source).digest


def test_files_in_config_levels_have_names_whatever_their_form(here):
    folder = here / "config/levels"
    folder.mkdir(parents=True)
    shutil.copy(JSON, folder / "drone (1).json")
    shutil.copy(YAML, folder / "wheel.yml")
    assert {"drone (1)", "wheel", "h17_unicycle"} <= set(available_levels())
    assert load_level("drone (1)").name == "drone_1"
    assert level_file("wheel") == Path("config/levels/wheel.yml")
    # What lies here comes before what lies beside the package, in whatever form.
    shutil.copy(JSON, folder / "h17_unicycle.json")
    assert level_file("h17_unicycle") == Path("config/levels/h17_unicycle.json")


def test_a_file_that_is_missing_says_where_it_was_looked_for(here):
    with pytest.raises(LevelError) as caught:
        load_level("my/h17_unicycl.yaml")
    message = str(caught.value)
    assert f"'my/h17_unicycl.yaml': no such level file in {here}; did you mean" in message
    assert "'h17_unicycle'" in message


@pytest.fixture
def base(here) -> Path:
    document = json.loads(JSON.read_text())
    document["env_params"]["max_timesteps"] = 512
    document["static_env_params"]["frame_skip"] = 1
    (here / "my").mkdir()
    (here / "my/drone (1).json").write_text(json.dumps(document))
    return here / "my/drone (1).json"


def test_the_log_says_what_was_taken_from_a_json(base, caplog):
    with caplog.at_level(logging.INFO, logger="rtc"):
        level = load_level(base)
    assert (level.params.max_timesteps, level.static.frame_skip) == (256, 1)
    said = [record.getMessage() for record in caplog.records]
    assert said[0].startswith(
        f"{base}: max_timesteps 512 is not taken from the file: an episode has 256 steps, as in "
        f"the reference; a YAML file with base:"
    )
    assert said[1].startswith(
        f"{base}: frame_skip 1 is taken from the file; the reference has 2; a YAML file with base:"
    )
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="rtc"):
        load_level("s/h0_weak_thrust")
    assert caplog.records == []


def test_a_yaml_beside_a_json_sets_both_numbers(base, caplog):
    mine = base.parent / "drone.yaml"
    mine.write_text("base: drone (1).json\nframe_skip: 4\nparams: {max_timesteps: 512}\n")
    with caplog.at_level(logging.INFO, logger="rtc"):
        level = load_level("my/drone.yaml")
    assert (level.name, level.params.max_timesteps, level.static.frame_skip) == ("drone", 512, 4)
    said = "my/drone.yaml: an episode has 512 steps of 4 substeps, as this file says"
    assert said in caplog.text
    unchanged = load_level("s/h0_weak_thrust")
    assert all((level[name] == array).all() for name, array in unchanged.arrays.items())


def test_a_change_of_the_base_counts_as_a_change_of_the_level(base):
    mine = base.parent / "drone.yaml"
    mine.write_text("frame_skip: 2\nbase: 'drone (1).json'\n")
    assert level_inputs(mine) == [mine, base]
    assert level_inputs(base) == [base]
    assert level_inputs(YAML) == [YAML]
    mine.write_text("description: my.json as base\nbase: l/h17_unicycle\n")
    assert level_inputs(mine) == [mine]


def test_a_base_that_is_missing_or_bad_names_both_files(base):
    mine = base.parent / "drone.yaml"
    mine.write_text("base: dron.json\n")
    with pytest.raises(LevelError, match=r"drone.yaml: base: no file 'dron.json' beside this one"):
        load_level(mine)
    base.write_text("{}")
    mine.write_text("base: drone (1).json\n")
    with pytest.raises(LevelError, match=r"drone.yaml: base: .*\(1\).json.env_state: missing"):
        load_level(mine)


def test_two_files_that_come_to_one_name_are_refused(here):
    config = read_files([BESIDE.parent / "config.yaml"])
    for name in ("drone (1).json", "drone_1.json"):
        shutil.copy(JSON, here / name)
    with pytest.raises(ConfigError, match=r"'drone \(1\).json' and 'drone_1.json' share the file"):
        plan_run(config | {"levels": ["drone (1).json", "drone_1.json"]})
    shutil.copytree(here, here / "a{b}", dirs_exist_ok=True, ignore=lambda *_: {"a{b}"})
    with pytest.raises(ConfigError, match=r"a\{b\}/drone_1.json: \{ and \} are patterns"):
        plan_run(config | {"levels": ["a{b}/drone_1.json"]})
