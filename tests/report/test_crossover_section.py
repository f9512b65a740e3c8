"""Crossovers in the data-efficiency section, from a synthetic store and by hand."""

import hashlib
import json

import numpy as np
import pandas as pd
from report.make_store import make_store

from bench.analysis.crossovers import Crossing, Crossover, crossover_of
from bench.report.document import Header
from bench.report.evidence import gather
from bench.report.sections.crossovers import crossover_sentence, crossover_table
from bench.report.sections.crossovers import crossovers as section
from bench.report.writers.macros import latex_macros
from bench.store.run_store import RunStore


def made(root, **changes):
    return gather(RunStore(make_store(root, **changes)), "tiny")


def crossovers(evidence):
    return [[field.text for field in row] for row in crossover_table(evidence).rows]


def test_two_replicates_say_what_is_needed(tmp_path):
    (row,) = crossovers(made(tmp_path, replicates=2))
    assert row == ["from-scratch", "DeiT-Ti/4 against ResNet-18", "needs two sizes with three replicates"]


def test_exploratory_pairs_have_no_crossover(tmp_path):
    evidence = made(tmp_path)
    assert {f.pair.primary for f in evidence.findings} == {True, False}
    assert len(crossovers(evidence)) == 1


def test_a_whole_split_as_large_as_a_subset_is_one_size(tmp_path):
    assert crossover_table(made(tmp_path, shots=(80, None))).empty


def test_a_crossover_that_is_in_the_store_is_found(tmp_path):
    """At 1 image per class the DeiT gets every image right, at 20 three in ten; the ResNet is as it was."""
    make_store(tmp_path, shots=(1, 20))
    store = RunStore(tmp_path)
    labels = np.arange(120) % 10
    for record in store.results():
        if record.recipe == "deit-scratch":
            folder = tmp_path / "runs" / record.id
            right = np.arange(120) < (120 if record.identity.shots == 1 else 36)
            wanted = np.where(right, labels, (labels + 1) % 10).astype(np.uint16)
            path = folder / "predictions.parquet"
            changed = {"predicted": wanted, "rank": (~right).astype(np.uint16)}
            pd.read_parquet(path).assign(**changed).to_parquet(path)
            content = json.loads((folder / "record.json").read_text())
            content["metrics"]["top1"] = float(right.mean())
            content["predictions_sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
            (folder / "record.json").write_text(json.dumps(content))
    evidence = gather(store, "tiny")
    pair = [f for f in evidence.findings if f.pair.a == "deit"]
    found = crossover_of(pair)
    assert crossover_of([f for f in evidence.findings if f.pair.a == "vit"]) is None
    assert not section(evidence).says_little and section(made(tmp_path / "as it was")).says_little
    assert found.status == "crossover" and found.crossings[0].leader == "a"
    assert crossover_sentence(found, pair[0].titles).startswith("DeiT-Ti/4 is better at 1, ResNet-18 at 20")
    macros = latex_macros(evidence, Header("tiny", "", "", ()))
    about = f"{found.crossings[0].point:.3g}"
    for name, value in (("from", "1"), ("to", "20"), ("about", about)):
        assert rf"vcnum@from-scratch/deit-resnet/crossover-{name}\endcsname{{{value}}}" in macros


def test_crossover_in_words():
    both = ("A", "B")
    found = Crossover("crossover", (Crossing(2, 10, 4.5, "b"),))
    assert crossover_sentence(found, both) == "B is better at 2, A at 10; about 4.5 by interpolation"
    assert crossover_sentence(Crossover("inconclusive"), both) == "not decided"
