"""What the pipeline gets: files of a trace."""

import json

import numpy as np
import pytest
from PIL import Image

from rtc.traces import PICTURES, TRACE_FILES, draw_decision, write_traces
from tests.traces.point_robot import ENV_CONFIG


@pytest.fixture(scope="module")
def folder(run, level, guidance, decision, tmp_path_factory):
    folder = tmp_path_factory.mktemp("traces") / level.name
    patch = pytest.MonkeyPatch()

    def made_already(trained, asked, *, seed):
        assert (trained.loaded.epoch, asked, seed) == (4, guidance, 0)
        return decision

    patch.setattr("rtc.traces.pictures.find_decision", made_already)
    write_traces(level, ENV_CONFIG, run.folder, folder, **guidance._asdict(), seed=0)
    patch.undo()
    return folder


def test_the_files_are_those_that_are_declared(folder):
    assert sorted(path.name for path in folder.iterdir()) == sorted(TRACE_FILES)
    for name in PICTURES:
        if name.endswith(".png"):
            with Image.open(folder / name) as picture:
                assert min(picture.size) > 300


def test_the_numbers_behind_the_pictures_are_kept(folder, decision):
    with np.load(folder / "tracked_steps.npz", allow_pickle=False) as stored:
        assert set(stored.files) == {f"guided/{name}" for name in decision.guided} | {
            f"plain/{name}" for name in decision.plain
        }
        np.testing.assert_array_equal(stored["guided/x_1"], decision.guided["x_1"])


def test_the_decision_is_described(folder, decision, guidance):
    about = json.loads((folder / "decision.json").read_text())
    assert about["level"] == "cartpole_thrust"
    assert about["step"] == decision.step
    assert about["delay"] == guidance.delay
    assert about["dimensions_that_act"] == [4, 5]
    assert about["greatest_error"]["last_flow_step"] < about["greatest_error"]["first_flow_step"]
    assert set(about["episodes"]) == {"naive", "realtime"}


def test_a_bad_dimension_is_named_before_anything_is_written(decision, tmp_path):
    with pytest.raises(ValueError, match="action_dim_indices: 6 is out of range"):
        draw_decision(decision, tmp_path / "plots", (0, 6))
    assert not (tmp_path / "plots").exists()
