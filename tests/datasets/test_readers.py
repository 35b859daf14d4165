"""A data set opens in pandas, polars and duckdb, and all three see the same."""

import json
import re
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest

from rtc.datasets import collect_dataset

FAQ = Path(__file__).parents[2] / "docs" / "faq.md"
ORDER = ["environment", "step"]
SCALARS = [*ORDER, "episode", "expert", "done", "solved", "return", "length"]


@pytest.fixture
def path(toy_env, level, env_config, config, make_expert, tmp_path) -> Path:
    path = tmp_path / "toy.parquet"
    collect_dataset(level, env_config, config, [make_expert(1, {5: 0.9})], path, seed=0)
    return path


def test_all_readers_see_the_same_rows(path):
    ours = pd.read_parquet(path).sort_values(ORDER, ignore_index=True)
    assert len(ours) == 1000
    theirs = {
        "polars": pl.read_parquet(path).sort(ORDER).to_pandas(),
        "duckdb": duckdb.sql(f"select * from '{path}' order by environment, step").df(),
    }
    for reader, frame in theirs.items():
        assert list(frame.columns) == list(ours.columns), reader
        for name in SCALARS:
            np.testing.assert_array_equal(frame[name], ours[name], err_msg=f"{reader}: {name}")
        for name in ("observation", "action"):
            theirs_, ours_ = np.stack(frame[name]), np.stack(ours[name])
            np.testing.assert_array_equal(theirs_, ours_, err_msg=f"{reader}: {name}")


def test_lists_are_of_a_fixed_size(path):
    schema = pl.read_parquet_schema(path)
    assert schema["observation"] == pl.Array(pl.Float32, 3)
    assert schema["action"] == pl.Array(pl.Float32, 6)
    assert pl.read_parquet(path)["action"].to_numpy().shape == (1000, 6)
    kind = duckdb.sql(f"select typeof(action) from '{path}' limit 1").fetchall()[0][0]
    assert kind.startswith("FLOAT[")


def test_the_metadata_names_what_the_numbers_are(path):
    metadata = pq.read_schema(path).metadata
    assert json.loads(metadata[b"observation_names"]) == ["time", "motor", "thruster"]
    assert len(json.loads(metadata[b"action_names"])) == 6
    names = duckdb.sql(f"select key from parquet_kv_metadata('{path}')").fetchall()
    assert (b"level",) in names


def test_the_example_in_the_questions_runs(path):
    blocks = re.findall(r"```python\n(.*?)```", FAQ.read_text(), flags=re.S)
    (code,) = [block for block in blocks if "duckdb" in block]
    code = re.sub(r'path = ".*?"', f"path = {str(path)!r}", code)
    names: dict = {}
    exec(compile(code, str(FAQ), "exec"), names)
    assert names["observations"].shape == (1000, 3)
    assert names["episodes"].columns == ["expert", "solved", "length"]
