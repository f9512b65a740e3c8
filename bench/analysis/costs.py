"""What models cost, of all counts in a store the latest."""

from collections.abc import Iterable

import pandas as pd

from bench.files import canonical
from bench.frames import frame
from bench.store.records.profiles import CostRecord, ProfileRecord

COST = {
    "model": "str",
    "classes": "Int64",
    "input_size": "Int64",
    "params": "Int64",
    "flops": "Int64",
    "gmacs": "float64",
    "trainable_params": "Int64",
    "gmacs_all": "float64",
    "flops_train_step": "Int64",
    "activations_m": "float64",
    "title": "str",
    "family": "str",
    "pretraining": "str",
    "counter": "str",
    "by_part": "str",
    "elementwise": "str",
    "profile": "str",
}
"""Columns of the cost table: `flops` is 2 x multiply-adds, exact; `gmacs_all` includes what is done element
by element, which `elementwise` holds by kind; `activations_m` is in millions."""


def cost_table(profiles: Iterable[ProfileRecord]) -> pd.DataFrame:
    """One row a model, head and input size; where it was counted more than once, the latest count."""
    latest: dict[tuple[str, int, int], CostRecord] = {}
    for record in sorted(profiles, key=lambda p: (p.finished or p.started or "", p.id)):
        if isinstance(record, CostRecord):
            latest[record.model, record.classes, record.input_size] = record
    rows = [
        record.content()
        | {"profile": record.id}
        | {"by_part": canonical(record.by_part), "elementwise": canonical(record.elementwise)}
        for record in latest.values()
    ]
    return frame(rows, COST).sort_values(["model", "classes", "input_size"], kind="stable", ignore_index=True)
