"""The one door to datasets."""

import subprocess
import sys
from pathlib import Path

import pytest

from bench.data import dataset_facts, datasets, find_facts, open_dataset
from bench.errors import InputError

NEW = '''
"""Two classes of plain colour."""

import numpy as np

from bench.data.base import Dataset, Facts

FACTS = Facts("plain", "Plain", 2, {"only": {"train": 4, "val": 0, "test": 2}}, "4x4", "made up")


def load(split_id, place):
    labels = np.array([0, 1, 0, 1, 0, 1])
    splits = {"train": np.arange(4), "val": np.arange(0), "test": np.arange(4, 6)}
    return Dataset("plain", split_id, ["a", "b"], labels, splits, "f" * 64, "own data",
                   lambda i: np.full((4, 4, 3), i, np.uint8), lambda i: f"image {i}", native_size=4)
'''


def test_a_new_file_is_enough(tmp_path, monkeypatch):
    (tmp_path / "plain.py").write_text(NEW)
    monkeypatch.setattr(datasets, "__path__", [*datasets.__path__, str(tmp_path)])
    monkeypatch.delitem(sys.modules, "bench.data.datasets.plain", raising=False)
    assert "plain" in dataset_facts()
    dataset = open_dataset("plain", None, tmp_path)
    assert dataset.split_id == "only"
    assert dataset.counts() == find_facts("plain").splits["only"]
    assert dataset.split_labels("test").tolist() == [0, 1]
    with pytest.raises(InputError, match='did you mean "plain"'):
        open_dataset("plains", None, tmp_path)


def test_facts_agree_with_module_names():
    facts = dataset_facts()
    files = Path(datasets.__file__).parent.glob("*.py")
    assert set(facts) == {path.stem for path in files if path.stem != "__init__"}
    for name, fact in facts.items():
        assert fact.name == name
        assert fact.source and fact.image
    assert facts["flowers102"].splits["official"] == {"train": 1020, "val": 1020, "test": 6149}
    assert facts["flowers102"].splits["official-trainval"] == {"train": 2040, "val": 0, "test": 6149}
    assert facts["cifar100"].splits["official-45k"] == {"train": 45000, "val": 5000, "test": 10000}
    assert find_facts("folder:/somewhere").classes is None


def test_facts_import_nothing_heavy():
    code = (
        "import sys, bench.data; bench.data.dataset_facts(); "
        "heavy = {'torch', 'torchvision', 'timm', 'sklearn', 'scipy', 'pandas'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("name", "split_id", "message"),
    [
        ("flower102", None, 'no dataset "flower102"; did you mean "flowers102"'),
        ("/no/such/photos", None, "/no/such/photos: no such file or folder"),
        ("./photos", None, "./photos: no such file or folder"),
        ("/", None, "/: images of your own are named folder:PATH"),
        ("zzz", None, "datasets: .*cifar100.*flowers102"),
        ("cifar100", "official-45", 'no split id "official-45"; did you mean "official-45k"'),
        ("digits", "x", r"split ids: frozen"),
        ("folder", None, "folder:PATH"),
        ("folder:", None, "folder:PATH"),
        ("digits:somewhere", None, 'takes no path; write "digits"'),
        ("folder:x", "official", "split ids: stratified-70-10-20, given"),
    ],
)
def test_wrong_names(name, split_id, message, tmp_path):
    with pytest.raises(InputError, match=message) as caught:
        open_dataset(name, split_id, tmp_path)
    assert "\n" not in str(caught.value)
