"""What is shipped is what was learned, rounded to float16; whatever does not fit is refused."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file

import rtc
from rtc.errors import ArtifactError
from rtc.exchange import import_policy, ship_pretrained
from rtc.levels import load_level
from rtc.physics.observation import observation_spec
from rtc.storage import pretrained
from rtc.storage.checkpoints import list_checkpoints, restore_checkpoint, save_checkpoint
from rtc.storage.float16 import read_weights, write_weights
from rtc.storage.io import write_json
from rtc.storage.pretrained import source_digest
from tests.synthetic_tables import make_evaluations, make_rollouts
from tests.traces.small_policy import save_policy

LEVEL = "h17_unicycle"
POLICIES = {"flow": [2], "flow_ttrtc": []}


def save_expert(folder, level, seed, rates):
    """An expert's folder as training leaves it; rates: of updates 8, 16, ..."""
    size = 4 * len(observation_spec(level).indices) + 6
    rows = [{"update": 8 * (i + 1), "solve_rate": rate} for i, rate in enumerate(rates)]
    key = jax.random.key(seed)
    for row in rows:
        layer = {"kernel": jax.random.normal(key, (size, 6)), "bias": jnp.zeros(6)}
        value = {"kernel": jnp.ones((size, 1)), "bias": jnp.zeros(1)}
        tree = {"actor": {"0": layer}, "critic": {"0": value}, "log_std": jnp.zeros(6)}
        save_checkpoint(folder / "checkpoints" / str(row["update"]), tree)
    info = {
        "level": level.name,
        "level_digest": level.digest,
        "seed": seed,
        "history": 4,
        "observation": {"indices": list(range((size - 6) // 4))},
        "actions": {"low": [-1.0] * 4 + [0.0] * 2},
        "checkpoints": rows,
    }
    write_json(folder / "expert.json", info)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A working directory whose results hold one finished level."""
    level = load_level(LEVEL)
    results = tmp_path / "results"
    for policy in POLICIES:
        save_policy(results / "policies" / LEVEL / policy / "seed_0", level, 21, epochs=(2, 4, 6))
    save_expert(results / "experts" / LEVEL / "seed_0", level, 0, [0.2, 0.7])
    save_expert(results / "experts" / LEVEL / "seed_1", level, 1, [0.9, 0.8])
    table = make_evaluations(make_rollouts(levels=(LEVEL,), methods=("naive",), cells="paper"))
    where = results / "evaluations" / LEVEL / "flow" / "seed_0"
    where.mkdir(parents=True)
    table.to_csv(where / "naive.csv", index=False)
    (where / "naive.timing.csv").write_text("not a table of cells\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def shipped(run):
    assert ship_pretrained("results", "pretrained", [LEVEL], POLICIES, "abc123") == [LEVEL]
    return run / "pretrained"


def test_policies_and_the_best_expert_are_loaded_by_the_level_s_name(shipped, run):
    loaded = rtc.load_policy(LEVEL)
    trained = rtc.load_policy(run / f"results/policies/{LEVEL}/flow/seed_0")
    assert (loaded.level, loaded.epoch) == (LEVEL, 6)
    ours, theirs = (
        jax.tree.leaves(restore_checkpoint(folder / "checkpoints/6"))
        for folder in (
            shipped / f"policies/{LEVEL}/flow",
            run / f"results/policies/{LEVEL}/flow/seed_0",
        )
    )
    for one, other in zip(ours, theirs, strict=True):
        assert one.dtype == np.float32
        np.testing.assert_array_equal(one, other.astype(np.float16).astype(np.float32))
    obs, key = jnp.ones((3, 21)), jax.random.key(0)
    np.testing.assert_allclose(loaded.action(obs, key), trained.action(obs, key), atol=0.02)
    assert rtc.load_policy(f"{LEVEL}/flow_ttrtc").epoch == 6
    assert rtc.load_policy(LEVEL, epoch=2).epoch == 2
    expert = rtc.load_expert(LEVEL)
    assert (expert.info["seed"], expert.update, expert.solve_rate) == (1, 8, 0.9)
    taught = rtc.load_expert(run / f"results/experts/{LEVEL}/seed_1")
    noise, history = jnp.zeros((2, 6)), expert.start(jnp.ones((2, 21)))
    ours, theirs = (e.action(None, history, noise=noise) for e in (expert, taught))
    np.testing.assert_allclose(ours, theirs, atol=0.01)
    assert expert.params.critic == () and taught.params.critic


def test_only_the_epochs_that_methods_need_are_shipped(shipped):
    assert list(list_checkpoints(shipped / f"policies/{LEVEL}/flow/checkpoints")) == [2, 6]
    assert list(list_checkpoints(shipped / f"policies/{LEVEL}/flow_ttrtc/checkpoints")) == [6]
    arrays = load_file(shipped / f"policies/{LEVEL}/flow/checkpoints/6.safetensors")
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.float16)}


def test_the_manifest_and_the_card_say_what_is_shipped(shipped):
    manifest = json.loads((shipped / "manifest.json").read_text())
    entry = manifest["levels"][LEVEL]
    assert entry["digest"] == load_level(LEVEL).digest
    assert entry["commit"] == "abc123"
    assert entry["experts"] == {"seed_1": {"update": 8, "solve_rate": 0.9}}
    scores = entry["policies"]["flow"]["scores"]
    assert list(scores) == ["naive"]
    assert list(scores["naive"]["solve_rate"]) == ["0", "1", "2", "3", "4"]
    there = {f.relative_to(shipped).as_posix() for f in shipped.rglob("*") if f.is_file()}
    assert there == {*manifest["files"], "manifest.json", "README.md"}
    card = (shipped / "README.md").read_text()
    rate = 100 * scores["naive"]["solve_rate"]["4"]
    assert f"| {LEVEL} | 90.0 | naive | flow |" in card and f"| {rate:.1f} |" in card


def test_what_is_imported_is_the_shipped_file_byte_for_byte(shipped, run):
    import_policy("pretrained/policies/{level}/flow", load_level(LEVEL), run / "imported")
    name = "checkpoints/6.safetensors"
    there = (shipped / f"policies/{LEVEL}/flow" / name).read_bytes()
    assert (run / "imported" / name).read_bytes() == there
    assert rtc.load_policy(run / "imported", epoch=2).epoch == 2


def test_other_files_in_the_same_place_have_another_digest(tmp_path):
    assert source_digest(f"{tmp_path}/{{level}}", "slope") == ""
    (tmp_path / "slope/checkpoints").mkdir(parents=True)
    weights = tmp_path / "slope/checkpoints/2.safetensors"
    weights.write_bytes(b"12")
    first = source_digest(f"{tmp_path}/{{level}}", "slope")
    assert first == source_digest(f"{tmp_path}/slope", "hill") != ""
    weights.write_bytes(b"1234")
    assert source_digest(f"{tmp_path}/{{level}}", "slope") != first


def test_a_changed_level_is_refused_and_says_so(shipped):
    manifest = json.loads((shipped / "manifest.json").read_text())
    manifest["levels"][LEVEL]["digest"] = "0" * 64
    write_json(shipped / "manifest.json", manifest)
    for load in (rtc.load_policy, rtc.load_expert):
        with pytest.raises(ArtifactError, match=f"level '{LEVEL}' changed since this was learned"):
            load(LEVEL)


def test_a_changed_file_is_refused(shipped):
    file = shipped / f"policies/{LEVEL}/flow/checkpoints/6.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"\1")
    with pytest.raises(ArtifactError, match=r"not the file that .*manifest\.json lists"):
        rtc.load_policy(LEVEL)


def test_names_that_are_not_shipped_name_the_nearest(shipped):
    with pytest.raises(ArtifactError, match="did you mean 'h17_unicycle'"):
        rtc.load_policy("h17_unicycl")
    with pytest.raises(ArtifactError, match="did you mean 'flow_ttrtc'"):
        rtc.load_policy(f"{LEVEL}/flow_ttrt")
    with pytest.raises(ArtifactError, match=r"policy\.json: missing"):
        rtc.load_policy("results/policies")


def test_another_run_replaces_its_levels_and_policies_alone(shipped, run):
    level = load_level("mjc_swimmer")
    save_policy(run / "results/policies/mjc_swimmer/flow/seed_0", level, 21, epochs=(3,))
    levels = [LEVEL, "mjc_swimmer", "catapult"]
    assert ship_pretrained("results", "pretrained", levels, {"flow": []}, "def456") == levels[:2]
    entries = json.loads((shipped / "manifest.json").read_text())["levels"]
    assert list(entries) == [LEVEL, "mjc_swimmer"]
    assert entries["mjc_swimmer"]["experts"] == {}
    assert entries[LEVEL]["policies"]["flow"]["epochs"] == [6]
    assert entries[LEVEL]["policies"]["flow_ttrtc"]["epochs"] == [6]
    assert not (shipped / f"policies/{LEVEL}/flow/checkpoints/2.safetensors").exists()
    assert rtc.load_policy(f"{LEVEL}/flow_ttrtc").epoch == 6


def test_what_float16_cannot_hold_or_is_too_large_is_not_shipped(tmp_path, shipped, monkeypatch):
    with pytest.raises(ArtifactError, match="kernel holds numbers that float16 does not"):
        write_weights(tmp_path / "1.safetensors", {"kernel": np.float32([1.0, 7e4])})
    write_weights(tmp_path / "1.safetensors", {"kernel": np.float32([1.0, 0.1])})
    np.testing.assert_array_equal(
        read_weights(tmp_path / "1.safetensors")["kernel"], np.float32([1.0, 0.0999755859375])
    )
    before = (shipped / "manifest.json").read_bytes()
    monkeypatch.setattr(pretrained, "MOST_BYTES", 1000)
    with pytest.raises(ArtifactError, match="at most 1,000 are shipped"):
        ship_pretrained("results", "pretrained", [LEVEL], POLICIES, "def456")
    assert (shipped / "manifest.json").read_bytes() == before
    assert rtc.load_policy(LEVEL).epoch == 6
