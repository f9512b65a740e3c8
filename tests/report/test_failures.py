"""Per-class accuracy, confusions and calibration, against scikit-learn and by hand."""

import numpy as np
import pandas as pd
from report.make_store import make_store
from sklearn.metrics import confusion_matrix, recall_score

from bench.report.evidence import gather
from bench.report.sections.calibration import calibration
from bench.report.sections.failures import _confusions, failures, most_confused, per_class
from bench.store.run_store import RunStore


def test_confusions_of_all_replicates_agree_with_sklearn(tmp_path):
    evidence = gather(RunStore(make_store(tmp_path, shots=(5,), diverged=(("vit", 5, 1),))), "tiny")
    cell = evidence.cells[0]
    outputs = [evidence.predictions.outputs(evidence.records[run]) for run in cell.runs]
    outputs = [found for found in outputs if found is not None]
    assert len(outputs) == 2
    labels = np.concatenate([found.labels for found in outputs])
    predicted = np.concatenate([found.predicted for found in outputs])
    confusion = _confusions(evidence, cell).counts
    np.testing.assert_array_equal(confusion, confusion_matrix(labels, predicted, labels=range(10)))
    np.testing.assert_allclose(per_class(confusion), recall_score(labels, predicted, average=None))


def test_most_confused_by_share_without_the_diagonal_and_without_nothing():
    confusion = np.array([[8, 2, 0], [5, 5, 0], [0, 0, 0]])
    assert most_confused(confusion, 5) == [(1, 0, 0.5), (0, 1, 0.2)]
    assert np.isnan(per_class(confusion)[2])


def test_the_tables_of_a_store(tmp_path):
    evidence = gather(RunStore(make_store(tmp_path)), "tiny")
    section = failures(evidence)
    classes = next(block for block in section.blocks if block.kind == "table")
    differences = [float(row[2].text.replace("\u2212", "-")) for row in classes.rows]
    assert differences == sorted(differences, reverse=True) and len(differences) == 10
    assert {row[5].text for row in classes.rows} == {"12"}


def test_calibration_pools_the_finished_runs(tmp_path):
    evidence = gather(RunStore(make_store(tmp_path, shots=(5,), diverged=(("vit", 5, 1),))), "tiny")
    (figure,) = calibration(evidence).blocks[-1].figures
    cell = evidence.cells[0]
    files = [tmp_path / "runs" / run / "predictions.parquet" for run in cell.runs]
    frame = pd.concat(pd.read_parquet(path) for path in files if path.exists())
    own = figure.data[figure.data["contestant"] == "vit"]
    assert own["predictions"].sum() == len(frame) == 240
    mean = (own["confidence"] * own["predictions"]).sum() / len(frame)
    np.testing.assert_allclose(mean, frame["confidence"].astype(float).mean())


def test_probes_are_not_drawn(tmp_path):
    make_store(tmp_path, shots=(5,), comparison={"recipe": "linear-probe"})
    assert not calibration(gather(RunStore(tmp_path), "tiny")).blocks


def test_without_predictions_nothing_is_claimed(tmp_path):
    make_store(tmp_path, shots=(5,))
    for path in tmp_path.glob("runs/*/predictions.parquet"):
        path.unlink()
    evidence = gather(RunStore(tmp_path), "tiny")
    assert not failures(evidence).blocks and not calibration(evidence).blocks
