"""The contrasts of a suite against tables put together by hand from a synthetic store."""

import hashlib
import json
import shutil

import numpy as np
import pandas as pd
import pytest
from report.make_store import CLASSES, NETWORKS, TEST_IMAGES, digest, make_store, run_id, true_top1
from scipy import stats
from small_store import listing

from bench.analysis.cells import cells
from bench.analysis.contrasts import CONTRASTS, find_contrasts, pairs
from bench.analysis.costs import cost_table
from bench.analysis.decisions import PairedScores, contrast, judge
from bench.analysis.ensembles import finished_pairs
from bench.analysis.predictions import Predictions
from bench.errors import StoreError
from bench.store.run_store import RunStore
from bench.tables.tables import build_tables, write_tables


def contrasts_of(store, records, cost):
    suite = store.suite("tiny")
    return find_contrasts(suite, cells(suite, records), Predictions(store), cost)


def found(root, **changes):
    store = RunStore(make_store(root, **changes))
    records = {record.id: record for record in store.results()}
    cost = cost_table(store.profiles())
    return {(f.pair.a, f.pair.b, f.pair.shots): f for f in contrasts_of(store, records, cost)}


def table(contestant, shots, replicates=(0, 1, 2)):
    """Which images were right, as the synthetic store has them: the first ones."""
    right = [round(true_top1(contestant, shots, r) * TEST_IMAGES) for r in replicates]
    return np.stack([(np.arange(TEST_IMAGES) < n).astype(float) for n in right])


def test_every_declared_pair_on_every_subset_is_found(tmp_path):
    contrasts = found(tmp_path)
    expected = [("deit", "resnet", n) for n in (1, 5, 20, None)] + [
        ("vit", "resnet", n) for n in (1, 5, 20, None)
    ]
    assert list(contrasts) == expected
    assert [f.pair.primary for f in contrasts.values()] == [True] * 4 + [False] * 4


def judged(a, b, sizes, comparisons):
    """The contrasts of a pair at all sizes, judged together."""
    cells = [PairedScores((table(a, n), table(b, n)), "from-scratch") for n in sizes]
    return judge(cells, delta=0.01, comparisons=comparisons)


def test_primary_contrasts_are_judged_together_among_all_that_are_planned(tmp_path):
    missing = tuple((name, None, r) for name in NETWORKS for r in range(3))
    contrasts = found(tmp_path, missing=missing)
    results = [contrasts["deit", "resnet", n].result for n in (1, 5, 20)]
    assert results == judged("deit", "resnet", (1, 5, 20), 4)
    assert results[-1].verdict == "worse" and results[-1].comparisons == 4
    assert contrasts["deit", "resnet", None].result is None


def test_an_exploratory_contrast_has_an_interval_and_no_verdict(tmp_path):
    contrasts = found(tmp_path)
    results = [contrasts["vit", "resnet", n].result for n in (1, 5, 20, None)]
    assert results == judged("vit", "resnet", (1, 5, 20, None), 0)
    assert {(r.verdict, r.p_adjusted) for r in results} == {("none", None)}
    assert all(contrasts["vit", "resnet", n].has_interval for n in (1, 5, 20, None))


def test_contrasts_that_cannot_be_decided_are_not_counted(tmp_path):
    """Two replicates of the whole split are planned, three of the rest; none was run of one size yet."""
    make_store(tmp_path, shots=(1, 5, None), missing=tuple((n, 1, r) for n in NETWORKS for r in range(3)))
    path = tmp_path / "suites" / "tiny.json"
    rewrite(
        path,
        lambda listing: listing.update(
            trials=[e for e in listing["trials"] if e["shots"] is not None or e["replicate"] < 2]
        ),
    )
    store = RunStore(tmp_path)
    records = {record.id: record for record in store.results()}
    contrasts = contrasts_of(store, records, cost_table([]))
    primary = {f.pair.shots: f.result for f in contrasts if f.pair.primary}
    assert primary[1] is None and primary[5].comparisons == 2
    assert (primary[None].verdict, primary[None].low) == ("none", None)


def test_replicates_are_paired_by_their_seeds_whatever_their_order(tmp_path):
    make_store(tmp_path)
    path = tmp_path / "suites" / "tiny.json"
    listing = json.loads(path.read_text())
    listing["trials"].reverse()
    path.write_text(json.dumps(listing))
    store = RunStore(tmp_path)
    records = {record.id: record for record in store.results()}
    cost = cost_table([])
    for f in contrasts_of(store, records, cost):
        assert [records[run].identity.seed for run in f.runs_a] == [
            records[run].identity.seed for run in f.runs_b
        ]
        assert f.result.replicates == 3


def test_a_probe_without_a_training_seed_is_paired_with_the_run_of_its_replicate(tmp_path):
    """On the whole split it has one run, on a subset one for each draw."""
    make_store(tmp_path, shots=(5, None))
    path = tmp_path / "suites" / "tiny.json"
    listing = json.loads(path.read_text())
    probes = [e for e in listing["trials"] if e["contestant"] == "deit"]
    for entry in probes:
        entry["seed"] = None
    listing["trials"] = [e for e in listing["trials"] if e not in probes[4:]]
    path.write_text(json.dumps(listing))
    store = RunStore(tmp_path)
    records = {record.id: record for record in store.results()}
    subset, whole = contrasts_of(store, records, cost_table([]))[:2]
    assert subset.result == contrast(table("deit", 5), table("resnet", 5), delta=0.01)
    assert (whole.result.verdict, whole.notes[0]) == (
        "none",
        "1 common replicate: no interval, no verdict",
    )
    assert whole.runs_b == (run_id("tiny", "resnet", None, 0),)
    probed = list(finished_pairs(store.suite("tiny"), cells(store.suite("tiny"), records)))[0]
    assert [len(own) for own in probed[1:]] == [3, 3]


def test_a_number_of_images_that_is_the_whole_split_says_so(tmp_path):
    make_store(tmp_path, shots=(5, 80, None))
    path = tmp_path / "suites" / "tiny.json"
    listing = json.loads(path.read_text())
    for entry in listing["trials"]:
        entry["draw_seed"] = entry["replicate"] if entry["shots"] == 5 else None
    path.write_text(json.dumps(listing))
    store = RunStore(tmp_path)
    records = {record.id: record for record in store.results()}
    for f in contrasts_of(store, records, cost_table([])):
        said = "the whole training split: no spread over draws" in f.notes
        assert said == (f.pair.shots == 80) and f.result.replicates == 3


def test_a_diverged_trial_counts_at_chance_and_is_said(tmp_path):
    f = found(tmp_path, shots=(5,), diverged=(("vit", 5, 1),))["vit", "resnet", 5]
    scores = table("vit", 5)
    scores[1] = 1 / CLASSES
    assert [f.result] == judge([PairedScores((scores, table("resnet", 5)))], delta=0.01, comparisons=0)
    a, b = scores.mean(), table("resnet", 5).mean()
    assert f.accuracy == pytest.approx((a, b))
    assert f.result.low >= -max(b, 1 - a) and f.result.high <= max(a, 1 - b)
    assert f.diverged == (1, 0)
    assert "1 of 3 runs of ViT-Ti/4 diverged, at chance" in f.notes


def test_two_common_replicates_give_neither_interval_nor_verdict(tmp_path):
    f = found(tmp_path, missing=(("vit", 5, 1),))["vit", "resnet", 5]
    assert (f.result.low, f.result.verdict, f.result.replicates) == (None, "none", 2)
    assert f.result.estimate == pytest.approx(
        np.mean([true_top1("vit", 5, r) - true_top1("resnet", 5, r) for r in (0, 2)])
    )
    assert f.notes[0] == "2 common replicates: no interval"


def test_nothing_in_common_is_not_measured(tmp_path):
    missing = (("vit", 5, 0), ("vit", 5, 1), ("resnet", 5, 2))
    f = found(tmp_path, missing=missing)["vit", "resnet", 5]
    assert f.result is None and np.isnan(f.accuracy).all()
    assert f.notes[0] == "not measured: no replicate with predictions of both"


def test_runs_without_predictions_cannot_be_paired(tmp_path):
    make_store(tmp_path, shots=(5,))
    for run in (run_id("tiny", "vit", 5, r) for r in range(3)):
        (tmp_path / "runs" / run / "predictions.parquet").unlink()
    contrasts = build_tables(RunStore(tmp_path))["contrasts"]
    row = contrasts[contrasts["a"] == "vit"].iloc[0]
    assert row["notes"].startswith("not measured: no replicate with predictions of both")
    assert row["verdict"] == "none" and pd.isna(row["difference"])


def test_a_deterministic_probe_is_judged_over_test_images_alone(tmp_path):
    make_store(tmp_path, shots=(None,), replicates=1)
    path = tmp_path / "suites" / "tiny.json"
    listing = json.loads(path.read_text())
    listing["trials"] = [entry | {"seed": None} for entry in listing["trials"]]
    path.write_text(json.dumps(listing))
    row = build_tables(RunStore(tmp_path))["contrasts"].iloc[0]
    assert row["notes"].startswith("one deterministic run of each: the interval is over test images alone")
    expected = stats.ttest_rel(table("deit", None, (0,))[0], table("resnet", None, (0,))[0])
    assert (row["low"], row["high"]) == pytest.approx(expected.confidence_interval(0.95))
    assert row["p_adjusted"] == pytest.approx(expected.pvalue) and row["comparisons"] == 1
    assert (row["replicates"], row["images_only"], row["verdict"]) == (1, True, "worse")


def test_what_is_unmatched_is_said(tmp_path):
    f = found(tmp_path, comparison={"unmatched": "the recipes"}, data={"copy": "copy not verified"})
    notes = f["deit", "resnet", 5].notes
    assert notes == ("FLOPs not measured", "unmatched: the recipes", "copy not verified")


def test_selection_with_val_and_models_without_card_are_said(tmp_path):
    f = found(tmp_path, record={"selection": "val-oracle"}, model={"carded": False})
    notes = f["deit", "resnet", 5].notes
    assert "val-oracle: chosen with more labels than the subset has" in notes and "no model card" in notes


def rewrite(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    "flops, said", [((430, 100), ["DeiT-Ti/4 costs 4.3 times the FLOPs"]), ((105, 100), [])]
)
def test_flops_that_do_not_match_are_said(tmp_path, flops, said):
    make_store(tmp_path, shots=(5,))
    models = ("vit_tiny_patch4_32", "resnet18_cifar")
    for path, model, n in zip(sorted(tmp_path.glob("profiles/*/record.json")), models, flops, strict=True):
        own = {"model": model, "classes": CLASSES, "input_size": 32, "flops": n}
        rewrite(path, lambda record, own=own: record.update(own))
    row = build_tables(RunStore(tmp_path))["contrasts"].iloc[0]
    assert [note for note in row["notes"].split("; ") if note] == said
    assert row["flops_ratio"] == flops[0] / flops[1]


def test_parameters_that_do_not_match_are_said(tmp_path):
    make_store(tmp_path, shots=(5,))
    for r in range(3):
        path = tmp_path / "runs" / run_id("tiny", "deit", 5, r) / "record.json"
        params = json.loads(path.read_text())["model"]["params"]
        rewrite(path, lambda record, params=params: record["model"].update(params=2 * params))
    row = build_tables(RunStore(tmp_path))["contrasts"].iloc[0]
    assert "DeiT-Ti/4 has 2.0 times the parameters" in row["notes"].split("; ")


def test_budgets_that_do_not_match_are_said(tmp_path):
    make_store(tmp_path, shots=(5, 20))
    images = {5: 1000, 20: 3000}
    for key, times in (("deit", 2), ("resnet", 1)):
        for shots, seen in images.items():
            for r in range(3):
                path = tmp_path / "runs" / run_id("tiny", key, shots, r) / "record.json"
                rewrite(path, lambda record, n=times * seen: record.update(images_seen=n))
    rows = build_tables(RunStore(tmp_path))["contrasts"]
    rows = rows[(rows["a"] == "deit") & (rows["b"] == "resnet")]
    assert len(rows) == 2
    for notes in rows["notes"]:
        assert "DeiT-Ti/4 was trained on 2.0 times the images" in notes.split("; ")


def test_unmatched_pretraining_and_precision_are_said(tmp_path):
    make_store(tmp_path, shots=(5,))
    for r in range(3):
        path = tmp_path / "runs" / run_id("tiny", "deit", 5, r) / "record.json"
        rewrite(path, lambda record: record["model"].update(pretraining="ImageNet-21k"))
        content = json.loads(path.read_text())
        content["identity"]["precision"] = "bf16"
        changed = tmp_path / "runs" / digest(content["identity"])
        path.parent.rename(changed)
        (changed / "record.json").write_text(json.dumps(content | {"id": changed.name}))
        listed = tmp_path / "suites" / "tiny.json"
        listed.write_text(listed.read_text().replace(path.parent.name, changed.name))
    notes = build_tables(RunStore(tmp_path))["contrasts"].iloc[0]["notes"]
    assert "unmatched pretraining: ImageNet-21k against none" in notes
    assert "mixed precision: bf16 against fp32" in notes


@pytest.mark.parametrize("widths", [(192, 1280), (512, 512), (None, 512)])
def test_probes_that_read_features_of_unequal_width_are_said(tmp_path, widths):
    store = RunStore(make_store(tmp_path, shots=(5,)))
    for path in store.root.glob("runs/*/record.json"):
        record = json.loads(path.read_text())
        width = widths[record["model"]["kind"] == "cnn"]
        path.write_text(json.dumps(record | {"details": {"feature_width": width} if width else {}}))
    notes = build_tables(store)["contrasts"].iloc[0]["notes"]
    assert ("unmatched feature width: 192 against 1280" in notes) == (widths == (192, 1280))
    assert ("feature width" in notes) == (widths == (192, 1280))


def test_the_table_is_written_with_its_columns(tmp_path):
    store = RunStore(make_store(tmp_path))
    assert {"contrasts.csv", "contrasts.parquet"} <= {path.name for path in write_tables(store)}
    written = pd.read_csv(tmp_path / "tables" / "contrasts.csv")
    assert list(written.columns) == list(CONTRASTS)
    assert set(written["suite"]) == {"tiny"}
    row = written.iloc[2]
    assert row["a_top1"] - row["b_top1"] == pytest.approx(row["difference"])
    assert row["low"] < row["difference"] < row["high"]
    assert row["a_runs"].split() == [run_id("tiny", "deit", 20, r) for r in range(3)]


def test_an_empty_store_has_the_columns(tmp_path):
    assert list(build_tables(RunStore(tmp_path))["contrasts"].columns) == list(CONTRASTS)


def test_a_pair_that_shares_no_subset_is_not_planned():
    suite = listing(
        contestants={"a": {}, "b": {}},
        comparisons=[{"name": "c", "contrasts": [["a", "b"]]}],
        trials=[
            {"comparison": "c", "contestant": "a", "shots": 1},
            {"comparison": "c", "contestant": "b", "shots": 2},
        ],
    )
    assert pairs(suite, cells(suite, {})) == []


@pytest.mark.parametrize(
    "spoil", [lambda path: path.write_bytes(b"PAR1 nothing"), lambda path: path.unlink()]
)
def test_a_run_with_damaged_predictions_is_no_replicate(tmp_path, caplog, spoil):
    make_store(tmp_path, shots=(5,))
    path = tmp_path / "runs" / run_id("tiny", "vit", 5, 0) / "predictions.parquet"
    damaged = spoil(path) is not None
    row = build_tables(RunStore(tmp_path))["contrasts"].set_index("a").loc["vit"]
    assert row["replicates"] == 2 and path.parent.name not in row["a_runs"]
    assert (str(path) in caplog.text) == damaged


def test_labels_of_other_images_are_named(tmp_path):
    make_store(tmp_path, shots=(5,))
    for path in tmp_path.glob("runs/*/record.json"):
        hashed = hashlib.sha256((path.parent / "predictions.parquet").read_bytes()).hexdigest()
        path.write_text(json.dumps(json.loads(path.read_text()) | {"predictions_sha256": hashed}))
    (path,) = (tmp_path / "labels").glob("*.parquet")
    labels = pd.read_parquet(path)
    labels[::-1].to_parquet(path)
    with pytest.raises(StoreError, match="labels/.*: not the labels that"):
        build_tables(RunStore(tmp_path))
    labels.head(7).to_parquet(path)
    with pytest.raises(StoreError, match="7 labels for 120 test images"):
        build_tables(RunStore(tmp_path))


def test_missing_labels_are_named(tmp_path):
    make_store(tmp_path, shots=(5,))
    shutil.rmtree(tmp_path / "labels")
    with pytest.raises(StoreError, match=r"labels/digits.*: cannot be read"):
        build_tables(RunStore(tmp_path))


def test_no_verdict_on_architectures_where_one_was_not_trained(tmp_path):
    """The nearest neighbour is put between the two models on 20 images per class, and nowhere else."""
    store = RunStore(make_store(tmp_path / "store"))
    records = {record.id: record for record in store.results()}
    listing = store.suite("tiny")
    pairs_of = {"contrasts": [["deit", "resnet"], ["deit", "vit"]], "exploratory": []}
    comparisons = [listing.comparisons[0].model_copy(update=pairs_of)]
    listing = listing.model_copy(update={"comparisons": comparisons})

    def at_20():
        found = find_contrasts(listing, cells(listing, records), Predictions(store), cost_table([]))
        return [finding for finding in found if finding.pair.shots == 20]

    before = at_20()
    low, high = sorted(before[0].accuracy)
    for draw in range(3):
        record = next(r for r in records.values() if r.identity.draw_seed == draw)
        store.finish_baseline(
            f"b{draw}",
            {
                "format": 1,
                "id": f"b{draw}",
                "shots": 20,
                "draw_seed": draw,
                "data": record.data.content(),
                "chance_top1": 0.1,
                "majority_top1": 0.1,
                "nearest_top1": (low + high) / 2,
            },
        )
    different, same = at_20()
    loser = different.titles[0 if different.accuracy[0] == low else 1]
    assert different.result.verdict == "none" and different.result.low == before[0].result.low
    assert different.untrained == (f"{loser}: beaten by 1-nearest-neighbour",)
    assert f"not trained: {loser}: beaten by 1-nearest-neighbour" in different.notes
    assert same.result.verdict == before[1].result.verdict and not same.untrained
    assert any(note.startswith("not trained: ") for note in same.notes)
