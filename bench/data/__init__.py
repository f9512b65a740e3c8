"""The datasets by name, their splits and subsets, and the cache of decoded images."""

from bench.data.base import Dataset, Facts
from bench.data.registry import dataset_facts, find_facts, open_dataset
from bench.data.subsets import draw_subset

__all__ = ["Dataset", "Facts", "dataset_facts", "draw_subset", "find_facts", "open_dataset"]
