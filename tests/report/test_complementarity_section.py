"""The section on complementarity, against loops over the stored predictions."""

import numpy as np
import pandas as pd
import pytest
from report.make_store import TEST_IMAGES, make_store, run_id, set_predicted

from bench.report.document import Header
from bench.report.evidence import gather
from bench.report.sections.complementarity import complementarity
from bench.report.writers.macros import latex_macros
from bench.store.run_store import RunStore

LABELS = np.arange(TEST_IMAGES) % 10


def store_with(root, probabilities=False, **changes):
    """Predictions at random, unlike those of the synthetic store, which are wrong on the same images."""
    store = RunStore(make_store(root, shots=(5,), **changes))
    rng = np.random.default_rng(0)
    for run in sorted(store.names("runs")):
        path = store.predictions_of("runs", run)
        if not path.exists():
            continue
        raw = rng.random((TEST_IMAGES, 10)) + 0.4 * np.eye(10)[LABELS]
        set_predicted(path.parent, raw.argmax(1))
        if probabilities:
            np.save(store.files(run).probabilities, raw / raw.sum(1, keepdims=True))
    return store


def tables(store):
    return {b.name: b for b in complementarity(gather(store, "tiny")).blocks if b.kind == "table"}


def texts(store):
    (table,) = tables(store).values()
    return [
        dict(zip([c.title for c in table.columns], [f.text for f in row], strict=True)) for row in table.rows
    ]


def wrong(store, name, replicate):
    run = run_id("tiny", name, 5, replicate)
    return pd.read_parquet(store.predictions_of("runs", run))["predicted"].to_numpy() != LABELS


def shared(pairs):
    return np.mean([(a & b).sum() / (a | b).sum() for a, b in pairs])


def test_shared_errors_and_oracle_match_counting(tmp_path):
    store = store_with(tmp_path)
    row = texts(store)[0]
    assert row["Pair"] == "DeiT-Ti/4 and ResNet-18" and row["n"] == "3"
    own = {name: [wrong(store, name, r) for r in range(3)] for name in ("deit", "resnet")}
    mixed = [(own["deit"][i], own["resnet"][j]) for i in range(3) for j in range(3) if i != j]
    twins = {name: [(one[i], one[j]) for i, j in ((0, 1), (0, 2), (1, 2))] for name, one in own.items()}
    assert row["Shared errors (%)"] == f"{100 * shared(mixed):.1f}"
    assert row["Shared by two runs of the first (%)"] == f"{100 * shared(twins['deit']):.1f}"
    assert row["Shared by two of the second (%)"] == f"{100 * shared(twins['resnet']):.1f}"
    assert row["Oracle (%)"] == f"{100 * np.mean([1 - (a & b).mean() for a, b in mixed]):.1f}"
    assert row["Average of both (%)"] == row["Average of two of the second (%)"] == "not measured"


def test_averages_are_measured_from_probabilities(tmp_path):
    store = store_with(tmp_path, probabilities=True)
    row = texts(store)[0]
    read = {
        (name, r): np.load(store.files(run_id("tiny", name, 5, r)).probabilities)
        for name in ("deit", "resnet")
        for r in range(3)
    }
    pairs = [(("deit", i), ("resnet", j)) for i in range(3) for j in range(3) if i != j]
    expected = np.mean([((read[one] + read[other]).argmax(1) == LABELS).mean() for one, other in pairs])
    assert row["Average of both (%)"] == f"{100 * expected:.1f}"
    assert float(row["Average of both (%)"]) > float(row["One alone (%)"])
    macros = latex_macros(gather(store, "tiny"), Header("tiny", "", "", ()))
    key = "from-scratch/deit-resnet/5/average-of-both"
    assert rf"vcnum@{key}\endcsname{{{100 * expected:.1f}}}" in macros


def test_one_replicate_has_no_twins(tmp_path):
    store = store_with(tmp_path, replicates=1)
    row = texts(store)[0]
    assert row["n"] == "1" and row["Shared by two runs of the first (%)"] == "not measured"


def test_diverged_runs_are_left_out(tmp_path):
    row = texts(store_with(tmp_path, diverged=(("resnet", 5, 1),)))[0]
    assert row["n"] == "2"


@pytest.mark.parametrize("share", [0, 1])
def test_networks_that_are_all_right_or_all_wrong(tmp_path, share):
    store = store_with(tmp_path)
    for run in store.names("runs"):
        set_predicted(store.folder_of("runs", run), LABELS if share else (LABELS + 1) % 10)
    row = texts(store)[0]
    assert row["Shared errors (%)"] == ("no errors" if share else "100.0")
    assert row["Oracle (%)"] == f"{100.0 * share:.1f}"
