"""The card of the folder of data sets, in the form of the Hugging Face hub."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rtc.datasets.parquet import COLUMNS
from rtc.errors import ArtifactError
from rtc.storage.io import write_text

HEAD = """\
---
license: mit
pretty_name: Expert play on Kinetix levels
task_categories:
- robotics
tags:
- reinforcement-learning
- imitation-learning
- kinetix
- real-time-chunking
size_categories:
- {size}
configs:
{configs}
---

# Expert play on Kinetix levels

Transitions of RPO experts on levels of [Kinetix](https://kinetix-env.github.io), made to clone
flow-matching policies from, as in
[Real-Time Execution of Action Chunking Flow Policies](https://arxiv.org/abs/2506.07339).
Every episode is played by one expert, drawn at random among those that passed a solve rate;
Gaussian noise is added to its actions inside the environment.

| level | transitions | episodes | solved | mean length | experts | observation |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |
{levels}

Episodes, solved share and mean length are those of the episodes that ended within the data.

## Columns

| column | type | meaning |
| --- | --- | --- |
{columns}

The schema's metadata (`pyarrow.parquet.read_schema(path).metadata`, JSON texts) says more:
`observation_names`, `observation_indices` and `observation_constants` give Kinetix's full
observation back, `action_names` and `action_low` describe the actions, `experts` who played,
`config`, `env` and `seed` how the file was made.

## Reading

```python
import numpy as np
import pandas as pd

frame = pd.read_parquet("{example}.parquet").sort_values(["environment", "step"])
observations = np.stack(frame["observation"])
```
"""


def write_dataset_card(folder: str | Path) -> None:
    """Writes `README.md` beside the parquet files of `folder`.

    Raises ArtifactError if a file cannot be read or there is none.
    """
    files = sorted(Path(folder).glob("*.parquet"))
    if not files:
        raise ArtifactError(f"{folder}: no data set (*.parquet) to describe; run: make")
    rows = [_level_row(file) for file in files]
    total = sum(pq.read_metadata(file).num_rows for file in files)
    schema = pq.read_schema(files[0])
    text = HEAD.format(
        size=_size_category(total),
        configs="\n".join(f"- config_name: {f.stem}\n  data_files: {f.name}" for f in files),
        levels="\n".join(rows),
        columns="\n".join(
            f"| `{name}` | {_type_name(schema.field(name).type)} | {meaning} |"
            for name, meaning in COLUMNS.items()
        ),
        example=files[0].stem,
    )
    write_text(Path(folder) / "README.md", text)


def _level_row(file: Path) -> str:
    try:
        table = pq.read_table(file, columns=["done", "solved", "length"])
        metadata = pq.read_schema(file).metadata
        experts = json.loads(metadata[b"experts"])
        names = json.loads(metadata[b"observation_names"])
        level = json.loads(metadata[b"level"])
    except (OSError, pa.ArrowException, KeyError, ValueError, TypeError) as error:
        raise ArtifactError(
            f"{file}: not a readable data set ({type(error).__name__}); run: rm -f {file} && make"
        ) from error
    done = table["done"].to_numpy()
    episodes = int(done.sum())
    solved = table["solved"].to_numpy()[done].mean() if episodes else 0.0
    length = table["length"].to_numpy()[done].mean() if episodes else np.nan
    return (
        f"| {level} | {table.num_rows:,} | {episodes:,} | {100 * solved:.1f} % | {length:.1f} "
        f"| {len(experts)} | {len(names)} |"
    )


def _type_name(kind: pa.DataType) -> str:
    if pa.types.is_fixed_size_list(kind):
        return f"list of {kind.value_type}"
    return str(kind)


def _size_category(rows: int) -> str:
    bounds = ["1K", "10K", "100K", "1M", "10M", "100M", "1B"]
    power = int(np.clip(np.log10(max(rows, 1)) - 3, -1, 5) // 1) + 1
    if power == 0:
        return "n<1K"
    return f"{bounds[power - 1]}<n<{bounds[power]}"
