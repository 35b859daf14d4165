"""Flow policies of the reference: the same weights out as in, the same actions either way."""

import json
import pickle

import jax
import numpy as np
import pytest
from flax import nnx

import rtc
from rtc.errors import ArtifactError
from rtc.exchange import import_policy
from rtc.exchange.names import flatten
from rtc.exchange.policies import compact, export_policy, policy_sizes
from rtc.flow import named_parameters
from rtc.storage.checkpoints import restore_checkpoint, save_checkpoint
from rtc.storage.io import write_json
from tests.exchange.conftest import FULL, pickle_as_reference, policy_arrays

NAME = "worlds_l_h17_unicycle.pkl"


@pytest.fixture(scope="module")
def imported(reference_folder, level, tmp_path_factory):
    output = tmp_path_factory.mktemp("imported") / "published" / "seed_0"
    import_policy(reference_folder / "bc", level, output)
    return output


def test_all_epochs_come_in_counted_from_one(imported, level, reference_folder):
    loaded = rtc.load_policy(imported)
    assert (loaded.epoch, loaded.level, loaded.policy.obs_dim) == (32, "h17_unicycle", FULL)
    assert loaded.policy.config.channel_dim == 16
    assert loaded.policy.config.num_layers == 2
    assert rtc.load_policy(imported, epoch=8).epoch == 8
    info = json.loads((imported / "policy.json").read_text())
    assert info["kept_epochs"] == [8, 32]
    assert info["level"]["digest"] == level.digest
    assert info["source"] == "reference"
    assert str(reference_folder) in info["imported"]["8"]["path"]


def test_round_trip_is_exact(imported, reference_folder, tmp_path):
    export_policy(imported, tmp_path)
    for epoch in (7, 31):
        exported = pickle.loads((tmp_path / str(epoch) / "policies" / NAME).read_bytes())
        original = policy_arrays(epoch)
        found = flatten(exported)
        assert found.keys() == original.keys()
        for name, array in original.items():
            np.testing.assert_array_equal(found[name], array)
        assert list(exported["mlp_stack"]) == [0, 1]


def test_export_fills_a_module_as_the_reference_fills_its_own(imported, tmp_path):
    export_policy(imported, tmp_path)
    state_dict = pickle.loads((tmp_path / "31" / "policies" / NAME).read_bytes())
    state_dict = jax.tree.map(lambda *x: np.stack(x), state_dict, state_dict)
    graph, state = nnx.split(rtc.load_policy(imported, epoch=8).policy)
    nnx.replace_by_pure_dict(state, jax.tree.map(lambda x: x[1], state_dict))
    filled = named_parameters(nnx.merge(graph, state))
    for name, array in policy_arrays(31).items():
        np.testing.assert_array_equal(filled[name], array)


@pytest.mark.parametrize("part", ["bc/31", f"bc/31/policies/{NAME}"])
def test_one_epoch_or_one_file_will_do(reference_folder, level, tmp_path, part):
    import_policy(reference_folder / part, level, tmp_path)
    assert rtc.load_policy(tmp_path).epoch == 32


def test_level_stands_in_the_path(reference_folder, level, tmp_path):
    pattern = f"{reference_folder}/bc/31/policies/worlds_l_{{level}}.pkl"
    import_policy(pattern, level, tmp_path)
    assert rtc.load_policy(tmp_path).epoch == 32


def test_our_policies_go_out_wide_and_come_back_compact(level, observation, tmp_path):
    ours = policy_arrays(3, obs_dim=len(observation["indices"]))
    info = {"level": {"name": level.name, "digest": level.digest}, "observation": observation}
    save_checkpoint(tmp_path / "ours/checkpoints/12", ours)
    write_json(tmp_path / "ours/policy.json", info | policy_sizes(ours, tmp_path))
    (file,) = export_policy(tmp_path / "ours", tmp_path / "bc")
    assert file == tmp_path / "bc/11/policies" / NAME
    assert flatten(pickle.loads(file.read_bytes()))["in_proj/kernel"].shape[0] == FULL + 6
    import_policy(tmp_path / "bc", level, tmp_path / "back")
    back = flatten(restore_checkpoint(tmp_path / "back/checkpoints/12"))
    assert back.keys() == ours.keys()
    for name, array in ours.items():
        np.testing.assert_array_equal(back[name], array)
    wide, narrow = (rtc.load_policy(tmp_path / name) for name in ("back", "ours"))
    assert wide.policy.obs_dim == narrow.policy.obs_dim == len(observation["indices"])


def test_folding_constants_into_the_bias_keeps_the_function(imported, observation, tmp_path):
    loaded = rtc.load_policy(imported)
    folded = compact(policy_arrays(31), observation)
    info = json.loads((imported / "policy.json").read_text())
    save_checkpoint(tmp_path / "checkpoints/1", folded)
    write_json(tmp_path / "policy.json", info | policy_sizes(folded, tmp_path))
    narrow = rtc.load_policy(tmp_path)
    obs = np.random.default_rng(1).normal(size=(5, len(observation["indices"])))
    key = jax.random.key(4)
    obs = np.float32(obs)
    # The wide policy is given compact observations and expands them itself.
    np.testing.assert_allclose(loaded.action(obs, key), narrow.action(obs, key), atol=2e-5)


def test_a_policy_of_ours_can_be_imported_as_it_is(imported, level, tmp_path):
    import_policy(imported, level, tmp_path)
    assert sorted(p.name for p in (tmp_path / "checkpoints").iterdir()) == ["32", "8"]
    assert rtc.load_policy(tmp_path).policy.obs_dim == FULL
    other = rtc.load_level("cartpole_thrust")
    with pytest.raises(ArtifactError, match="trained on another level than cartpole_thrust"):
        import_policy(imported, other, tmp_path)


def without(name):
    return lambda arrays: {k: v for k, v in arrays.items() if k != name}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            without("out_proj/kernel"),
            "not a flow policy of the reference: out_proj/kernel is missing",
        ),
        (without("time_mlp/layers/2/bias"), "time_mlp/layers/2/bias is missing"),
        (
            lambda a: a | {"in_proj/scale": np.zeros(3, np.float32)},
            "unknown parameter in_proj/scale",
        ),
        (
            lambda a: a | {"out_proj/bias": np.zeros(5, np.float32)},
            r"out_proj/bias is float32\[5\], expected float32\[6\]",
        ),
        (
            lambda a: a | {"in_proj/kernel": np.zeros((100, 16), np.float32)},
            "takes 94 observations, level h17_unicycle has 679",
        ),
    ],
)
def test_other_networks_are_refused(level, tmp_path, change, message):
    path = tmp_path / "31/policies" / NAME
    pickle_as_reference(path, change(policy_arrays(0)))
    with pytest.raises(ArtifactError, match=message) as caught:
        import_policy(tmp_path, level, tmp_path / "out")
    assert str(path) in str(caught.value)
    assert not (tmp_path / "out/policy.json").exists()


def test_nothing_for_the_level_names_what_there_is(reference_folder, tmp_path):
    with pytest.raises(ArtifactError, match="there are policies for h17_unicycle"):
        import_policy(reference_folder / "bc", rtc.load_level("cartpole_thrust"), tmp_path)
    with pytest.raises(ArtifactError, match="expected a run of the reference"):
        import_policy(tmp_path, rtc.load_level("cartpole_thrust"), tmp_path)


def test_sizes_of_the_golden_policy_are_read_off_its_shapes(golden):
    with np.load(golden / "flow_policy.npz") as stored:
        named = {
            k.removeprefix("params/"): stored[k] for k in stored.files if k.startswith("params/")
        }
    sizes = policy_sizes(named, golden)
    assert (sizes["obs_dim"], sizes["action_dim"]) == (21, 6)
    assert sizes["model"] | {"precision": None} == {
        "channel_dim": 32, "channel_hidden_dim": 48, "token_hidden_dim": 16, "num_layers": 2,
        "action_chunk_size": 8, "precision": None,
    }  # fmt: skip
