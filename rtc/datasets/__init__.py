"""Data sets: a mixture of experts plays, rows stream to parquet, a card describes the folder."""

from rtc.datasets.card import write_dataset_card
from rtc.datasets.collect import collect_dataset

__all__ = ["collect_dataset", "write_dataset_card"]
