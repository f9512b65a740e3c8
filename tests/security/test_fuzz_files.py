"""Any file that somebody sends gives a result, or one of this package's own errors in one line."""

import hashlib
import io
import json
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from security.fuzzing import WRONG, changed_bytes, changed_data, fuzz, tables
from small_store import write_store

from bench.data.images import read_image
from bench.data.own_split import _thaw
from bench.data.registry import open_dataset
from bench.errors import BenchError, brief
from bench.exchange.external import read_predictions, stored_test_set
from bench.files import canonical
from bench.networks.weight_file import read_shapes, read_tensors, tensors_as_bytes
from bench.report.literature import read_literature
from bench.spec.card import CARDS, read_card
from bench.spec.recipe import FOLDER as RECIPES
from bench.spec.recipe import load_recipe
from bench.spec.suite import FOLDER as SUITES
from bench.spec.suite import load_suite, suite_names
from bench.spec.toml import read_toml
from bench.store.run_store import RunStore
from bench.store.withdrawn import WITHDRAWN, read_withdrawn
from bench.training import checkpoint


def tried(function, *arguments):
    """What it gives, or None where it refuses in one line."""
    try:
        return function(*arguments)
    except (BenchError, checkpoint.Unusable) as error:
        assert str(error).strip() and "\n" not in brief(str(error))
        return None


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


@pytest.fixture(scope="module")
def store(folder):
    """A store of two trials."""
    return RunStore(write_store(folder / "store", {("vit", 5): np.ones((2, 40), bool)}))


# --- TOML

TEXTS = {
    "suite": [(SUITES / f"{name}.toml").read_bytes() for name in ("quick", "claims")],
    "recipe": [path.read_bytes() for path in sorted(RECIPES.glob("*.toml"))[:4]],
    "card": [path.read_bytes() for path in sorted(CARDS.glob("*.toml"))[:4]],
}
LOAD = {
    "suite": lambda path: load_suite(str(path)),
    "recipe": lambda path: load_recipe(str(path)),
    "card": lambda path: read_card(path.stem, path.parent),
}


@pytest.mark.parametrize("kind", sorted(TEXTS))
@fuzz(80)
@given(data=st.data())
def test_toml_of_any_bytes(folder, kind, data):
    path = folder / f"{kind}-x.toml"
    path.write_bytes(data.draw(st.sampled_from(TEXTS[kind]).flatmap(changed_bytes)))
    tried(LOAD[kind], path)


@fuzz(150)
@given(data=st.data())
def test_a_suite_of_any_values(data):
    name = data.draw(st.sampled_from(sorted(suite_names())))
    values = read_toml(SUITES / f"{name}.toml") | {"name": "own"}
    tried(load_suite, data.draw(changed_data(values)))


@fuzz(150)
@given(
    key=st.sampled_from(["recipe.optimizer.lr", "recipe.x", "comparison.shots", "models", "", ".", "a.b.c"]),
    value=st.one_of(st.text(max_size=20), st.sampled_from(WRONG).map(str)),
)
def test_any_setting(key, value):
    tried(load_suite, "quick", (f"{key}={value}",))


# --- Parquet, NumPy, CSV

PREDICTED = ("predicted", "rank", "confidence", "log_prob")


@fuzz(120)
@given(data=st.data())
def test_predictions_of_a_store(store, data):
    result = store.results()[0]
    path = store.evaluation_files(result.id).predictions
    before = path.read_bytes()
    path.write_bytes(data.draw(st.one_of(tables(PREDICTED), changed_bytes(before))))
    try:
        tried(store.predictions, result)
        columns = tried(store.prediction_columns, result)
        assert columns is None or all(values.dtype.kind in "iuf" for values in columns.values())
        RunStore(store.root).results()  # damaged ones are named in a warning
    finally:
        path.write_bytes(before)


@fuzz(30)
@given(data=st.data())
def test_labels_and_other_tables_of_a_store(store, data):
    result = store.results()[0]
    labels = store.labels_of(result.data.key)
    for path, names, read in (
        (labels, ("label", "duplicate"), lambda: store.labels(result.data)),
        (store.files(result.id).history, ("step", "loss", "lr"), lambda: store.history(result.id)),
        (store.averages_file, ("run_a", "run_b", "top1"), store.averages),
        (store.reach_file, ("run", "layer", "depth", "gradient", "attention"), store.reach),
    ):
        before = path.read_bytes() if path.exists() else None
        path.write_bytes(data.draw(tables(names)))
        tried(read)
        path.unlink() if before is None else path.write_bytes(before)


@fuzz(150)
@given(data=st.data())
def test_predictions_that_are_scored(store, folder, data):
    test = stored_test_set(store, "digits", "frozen")
    path = folder / "mine.parquet"
    names = ("image", "filename", "predicted", "probabilities", "label", "x")
    content = data.draw(tables(names))
    path.write_bytes(data.draw(st.one_of(st.just(content), changed_bytes(content))))
    tried(read_predictions, path, test)


@fuzz(60)
@given(data=st.data())
def test_probabilities(store, data):
    file = io.BytesIO()
    np.save(file, np.zeros((40, 10), np.float16))
    run = store.names("runs")[0]
    path = store.evaluation_files(run).probabilities
    path.write_bytes(data.draw(changed_bytes(file.getvalue())))
    try:
        tried(store.probabilities, run)
    finally:
        path.unlink()


LITERATURE = (Path(__file__).parents[2] / "results" / "literature.csv").read_bytes()[:3000]
ROW = ",".join(WITHDRAWN) + "\n" + ",".join("1" for _ in WITHDRAWN) + "\n"


@fuzz(120)
@given(data=st.data())
def test_csv_files(folder, data):
    path = folder / "x.csv"
    path.write_bytes(data.draw(changed_bytes(LITERATURE)))
    tried(read_literature, path)
    path.write_bytes(data.draw(changed_bytes(ROW.encode())))
    tried(read_withdrawn, path)


@fuzz(80)
@given(data=st.data())
def test_a_table_of_images(folder, data):
    Image.new("RGB", (4, 4)).save(folder / "a.png")
    content = data.draw(tables(("path", "label", "split", "group")))
    text = b"path,label,split,group\n" + b"a.png,x,train,1\na.png,y,test,2\n"
    for name, made in (("t.parquet", content), ("t.csv", data.draw(changed_bytes(text)))):
        (folder / name).write_bytes(made)
        tried(open_dataset, f"table:{folder / name}", None, folder)


# --- weights, checkpoints, images

WEIGHTS = tensors_as_bytes({"a.weight": torch.zeros(2, 3), "b": torch.ones(4, dtype=torch.float16)})
(HEADER_BYTES,) = struct.unpack("<Q", WEIGHTS[:8])
HEADER = json.loads(WEIGHTS[8 : 8 + HEADER_BYTES])


@fuzz(150)
@given(data=st.data())
def test_weights(folder, data):
    if data.draw(st.booleans()):
        header = json.dumps(data.draw(changed_data(HEADER))).encode()
        content = struct.pack("<Q", len(header)) + header + WEIGHTS[8 + HEADER_BYTES :]
    else:
        content = data.draw(changed_bytes(WEIGHTS))
    path = folder / "a.safetensors"
    path.write_bytes(content)
    tried(read_shapes, path)
    tried(read_tensors, path)


@fuzz(60)
@given(data=st.data())
def test_checkpoints(folder, data):
    file = io.BytesIO()
    torch.save({"format": 1, "run": "x", "network": {"a": torch.zeros(3)}}, file)
    saved = data.draw(changed_bytes(file.getvalue()))
    path = folder / "checkpoint.pt"
    path.write_bytes(hashlib.sha256(saved).hexdigest().encode() + b"\n" + saved)
    tried(checkpoint.read, path)


def encoded(kind):
    file = io.BytesIO()
    Image.fromarray(np.arange(12 * 9 * 3, dtype=np.uint8).reshape(12, 9, 3)).save(file, kind)
    return file.getvalue()


IMAGES = [encoded(kind) for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "PPM", "WEBP")]


@fuzz(250)
@given(content=st.sampled_from(IMAGES).flatmap(changed_bytes))
def test_images(folder, content):
    path = folder / "x.png"
    path.write_bytes(content)
    pixels = tried(read_image, path)
    assert pixels is None or (pixels.dtype == np.uint8 and pixels.shape[2:] == (3,))


@fuzz(100)
@given(listed=changed_data({"val": [1, 2], "test": [3]}))
def test_frozen_splits(folder, listed):
    """Whoever forges one can forge its checksum."""
    path = folder / "split.json"
    try:
        text = canonical(listed)
    except ValueError:
        return  # a number that is not finite has no checksum
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    path.write_text(json.dumps({"splits": listed, "fingerprint": "f", "sha256": sha256}))
    parts = tried(_thaw, path, "f", 9)
    assert parts is None or np.array_equal(np.sort(np.concatenate(list(parts.values()))), np.arange(9))
