"""Stores at the edges: every image right, or wrong, or every model the same; and the tables that describe."""

import numpy as np
import pandas as pd
import pytest
from report.make_store import TEST_IMAGES, make_store, run_id, set_predicted

from bench.report.blocks import walk
from bench.report.evidence import gather
from bench.report.render import render
from bench.report.style import house_style
from bench.store.run_store import RunStore

LABELS = np.arange(TEST_IMAGES) % 10
FIVE = (1, 2, 5, 20, None)


def made(root, **changes):
    return gather(RunStore(make_store(root, **changes)), "tiny")


def section(make, evidence):
    with house_style():
        return list(walk(make(evidence).blocks))


@pytest.mark.parametrize("share", [0, 1])
def test_a_store_in_which_all_are_right_or_all_wrong_can_be_read(tmp_path, share):
    store = RunStore(make_store(tmp_path / "store", shots=FIVE))
    for run in store.names("runs"):
        set_predicted(store.folder_of("runs", run), LABELS if share else (LABELS + 1) % 10)
    evidence = gather(store, "tiny")
    unseen = 1 - 0.025 ** (1 / TEST_IMAGES)  # a plain 95 % interval, however many contrasts there are
    for finding in evidence.findings:
        if finding.pair.primary:
            assert finding.result.estimate == 0.0
            assert finding.result.verdict == ("inconclusive" if share else "none")  # beaten by chance
            assert (finding.result.low, finding.result.high) == pytest.approx((-unseen, unseen))
    render(store, "tiny", tmp_path / "out")
    text = (tmp_path / "out" / "report.md").read_text()
    assert " nan" not in (text + (tmp_path / "out" / "appendix.md").read_text()).lower()
    undecided = f"interval \u2212{100 * unseen:.1f} to {100 * unseen:.1f}; exploratory)"
    assert (undecided in text) == bool(share)


def test_a_run_that_diverged_after_it_had_logged_something(tmp_path):
    store = RunStore(make_store(tmp_path / "store", shots=(5, None), diverged=(("vit", 5, 0),)))
    logged = pd.read_parquet(store.files(run_id("tiny", "vit", 5, 1)).history).head(7)
    logged.to_parquet(store.files(run_id("tiny", "vit", 5, 0)).history)
    render(store, "tiny", tmp_path / "out")
    drawn = pd.read_csv(tmp_path / "out" / "figures" / "curves-from-scratch-5.csv")
    assert set(drawn.loc[drawn["contestant"] == "vit", "run"]) == {
        run_id("tiny", "vit", 5, 1),
        run_id("tiny", "vit", 5, 2),
    }


def test_a_run_with_damaged_predictions_is_named_and_not_in_the_report(tmp_path, caplog):
    store = RunStore(make_store(tmp_path / "store", shots=(5,)))
    run = run_id("tiny", "deit", 5, 0)
    path = store.predictions_of("runs", run)
    pd.read_parquet(path).assign(predicted=np.uint16(10)).to_parquet(path)
    render(store, "tiny", tmp_path / "out")
    assert caplog.text.count(str(path)) == 1
    assert run not in (tmp_path / "out" / "appendix.md").read_text()
