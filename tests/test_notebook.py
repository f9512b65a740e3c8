"""The example notebook runs from its first cell to its last, and shows what it says."""

import os
from pathlib import Path

import pandas as pd
import pytest

import vcbench

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")
pytest.importorskip("ipykernel")
ROOT = Path(__file__).parent.parent


@pytest.mark.slow
def test_the_first_look(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    notebook = nbformat.read(ROOT / "examples/first_look.ipynb", as_version=4)
    assert sum(cell.cell_type == "code" for cell in notebook.cells) <= 10
    assert not any(cell.get("outputs") for cell in notebook.cells), "committed with outputs"
    where = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=600, resources=where).execute()
    shown = [cell.get("outputs", []) for cell in notebook.cells]
    data = [output.data for outputs in shown for output in outputs if "data" in output]
    assert any("image/png" in one for one in data), "no figure"
    html = "".join(one.get("text/html", "") for one in data)
    results = vcbench.open(tmp_path / "first-look")
    assert len(results.accuracy) == 12 and set(results.accuracy["outcome"]) == {"finished"}
    for (title, shots), mean in results.accuracy.groupby(["title", "shots"])["top1"].mean().items():
        trained = mean >= results.baselines.groupby("shots")["nearest_top1"].mean()[shots]
        assert f"<td>{100 * mean:.1f}{'' if trained else ' not trained'}</td>" in html
        assert trained or title == "vit", "the ResNet learns more than its nearest neighbours know"
    (mine,) = pd.DataFrame(results.tables["brought"]).to_dict("records")
    assert mine["name"] == "my-mlp" and f"my-mlp reaches {100 * mine['top1']:.1f} %" in html
    assert (tmp_path / "first-look-report/index.html").is_file()
    lines = "".join(output.get("text", "") for outputs in shown for output in outputs)
    assert "12 of 12 trials to do" in lines or any("widget" in "".join(one) for one in data), "no progress"
