"""A toy data set and a toy configuration, shared by the tests of training."""

import dataclasses
from pathlib import Path

import pytest

from rtc.config.sections import PolicyConfig
from tests.training.toy_dataset import write_dataset


@pytest.fixture(scope="session")
def config() -> PolicyConfig:
    return PolicyConfig(
        seeds=1,
        seeds_per_job=1,
        epochs=4,
        batch_size=32,
        learning_rate=3e-3,
        weight_decay=1e-2,
        warmup_steps=5,
        max_grad_norm=10.0,
        channel_dim=16,
        channel_hidden_dim=24,
        token_hidden_dim=8,
        num_layers=1,
        action_chunk_size=8,
        objective="flow",
        start_from=None,
        keep_epochs=(2,),
        precision="float32",
        evaluate_every=0,
        evaluation_rollouts=16,
    )


@pytest.fixture(scope="session")
def smaller(config) -> PolicyConfig:
    return dataclasses.replace(config, epochs=2, keep_epochs=())


@pytest.fixture(scope="session")
def dataset(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("datasets") / "toy.parquet"
    write_dataset(path)
    return path
