"""Predictions for files and exported networks, held against what the store says of the same images."""

import json
import os
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import timm
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file, save_file
from scipy.special import log_softmax, softmax
from sklearn.preprocessing import normalize
from small_store import run_id, write_store

from bench.cli.exporting import MODEL_FORMATS
from bench.data import open_dataset
from bench.deploy import calibrate, formats
from bench.deploy.calibrate import fit_temperature
from bench.deploy.card import model_card
from bench.deploy.predict import image_files
from bench.errors import InputError, WeightsError
from bench.inspection.loading import load
from bench.inspection.probed import with_probe
from bench.networks import find_card, make_model, resolve_weights
from bench.store.run_store import RunStore
from bench.training.probe import LinearProbe

NAMES = ("vit_digits", "resnet_digits")
SUITE = """
title = "t"
description = "d"
[models]
vit = { model = "vit_digits" }
resnet = { model = "resnet_digits" }
[[comparison]]
name = "c"
dataset = "digits"
contestants = ["vit", "resnet"]
recipe = "scratch"
shots = [20]
replicates = 1
input_size = 16
set = { "budget.epochs" = 6, "budget.min_steps" = 0, "budget.batch_size" = 16, "optimizer.lr" = 3e-3 }
"""
PROBES = """
title = "p"
description = "d"
[models]
vit = { model = "vit_digits", weights = "card" }
resnet = { model = "resnet_digits", weights = "card" }
[[comparison]]
name = "frozen"
dataset = "digits"
contestants = ["vit", "resnet"]
recipe = "linear-probe"
shots = [20]
replicates = 1
input_size = 16
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store with a trained ViT and a trained ResNet, and with linear probes of the two."""
    from bench.running.engines.in_process import InProcess
    from bench.running.runner import run_suite
    from bench.running.workspace import Workspace
    from bench.spec.suite import load_suite
    from bench.training.observer import Silent

    folder = tmp_path_factory.mktemp("taken")
    store = RunStore(folder / "results")
    for name, text in (("mine", SUITE), ("probes", PROBES)):
        (folder / f"{name}.toml").write_text(text)
        run_suite(
            load_suite(str(folder / f"{name}.toml")),
            Workspace(folder, folder, store.root, "cpu"),
            InProcess(),
            follow=lambda job: Silent(),
            should_stop=lambda: False,
        )
        for record in store.results():  # what the probes are pretrained on
            if record.recipe == "scratch":
                weights = store.root / "runs" / record.id / "weights.safetensors"
                shutil.copy(weights, folder / f"{record.model.name}.safetensors")
    return store


@pytest.fixture(scope="module")
def runs(store):
    """By model; the linear probe of one is "frozen MODEL"."""
    return {
        f"{'frozen ' * (record.recipe == 'linear-probe')}{record.model.name}": record
        for record in store.results()
    }


@pytest.fixture(scope="module")
def photos(store, tmp_path_factory):
    """Test images as files, one that is none among them, and their positions in the test split."""
    folder = tmp_path_factory.mktemp("photos")
    dataset = open_dataset("digits", None, folder)
    for number, position in enumerate(dataset.splits["test"][:40]):
        Image.fromarray(dataset.read(int(position))).save(folder / f"{number:03d}.png")
    (folder / "999.png").write_bytes(b"no image")
    (folder / "gone.png").symlink_to("nowhere.png")
    return folder


def test_the_temperature_is_the_best_of_a_fine_grid():
    rng = np.random.default_rng(0)
    labels = rng.integers(5, size=400)
    logits = rng.normal(size=(400, 5)) * 4
    logits[np.arange(400), labels] += 3
    grid = np.geomspace(0.05, 20, 4000)
    rows = np.arange(400)
    nll = [-log_softmax(logits / t, axis=1)[rows, labels].mean() for t in grid]
    assert fit_temperature(logits, labels) == pytest.approx(grid[int(np.argmin(nll))], rel=3e-3)
    assert fit_temperature(logits / 3, labels) == pytest.approx(fit_temperature(logits, labels) / 3, rel=1e-3)


def test_a_temperature_at_an_end_of_the_range_is_none(store, runs, tmp_path, monkeypatch):
    labels = np.arange(40) % 4
    sure = np.eye(4)[labels]
    assert fit_temperature(sure, labels) is None  # all are right: the lower, the likelier
    assert fit_temperature(sure[::-1], labels) is None  # all are wrong: the higher, the likelier
    assert fit_temperature(np.zeros((40, 4)), labels) is None
    nearly = np.where(labels[:1] == np.arange(40)[:, None], -sure, sure)  # all but one are right
    assert 0.05 < fit_temperature(nearly, labels) < 20
    loaded = load(runs["vit_digits"].id, weights=None, weights_dir=tmp_path, results=store.root)
    dataset = open_dataset("digits", None, tmp_path)
    own = np.eye(10)[dataset.split_labels("val")]
    monkeypatch.setattr(calibrate, "logits_of", lambda *_: own)
    line = f"its {len(own)} val images, of which {len(own)} are predicted right, do not tell how sure to be"
    with pytest.raises(InputError, match=line):
        calibrate.temperature_on_val(loaded, dataset)


def test_files_get_the_classes_that_the_same_test_images_got(store, runs, photos, vcbench):
    run = runs["vit_digits"].id
    arguments = ("predict", run[:8], str(photos), "--results", str(store.root), "--top", "10")
    status, out, err = vcbench(*arguments, "--uncalibrated")
    assert status == 0 and err == ""
    (photos.parent / "plain.csv").write_text(out)
    plain = pd.read_csv(photos.parent / "plain.csv", dtype={"class": str})
    stored = store.predictions(runs["vit_digits"])["predicted"][:40]
    first = plain[plain["rank"] == 1]
    assert first["class"].astype(int).tolist() == stored.tolist()
    everything = [np.load(path) for path in (store.root / "evaluations").glob("*/probabilities.npy")]
    own = [one for one in everything if (one[:40].argmax(1) == stored).all()]
    expected = own[0][:40].astype(float)
    given = plain.dropna(subset=["rank"]).pivot(index="image", columns="class", values="probability")
    np.testing.assert_allclose(given.to_numpy(), expected, atol=2e-3)
    broken, gone = plain[plain["problem"].notna()].to_dict("records")
    assert gone["image"] == str(photos / "gone.png") and gone["problem"] == "is missing"
    assert broken["image"].endswith("999.png") and "cannot be decoded" in broken["problem"]
    # Calibrated: the same classes, logits divided by the temperature of val.
    target = photos.parent / "calibrated.csv"
    status, out, _ = vcbench(*arguments, "--out", str(target))
    assert status == 0 and "40 of 42 images predicted, 2 could not be read; temperature" in out
    assert vcbench(*arguments, "--out", str(target))[0] == 0  # it may be made again
    (photos.parent / "none.png").write_bytes(b"no image")
    nothing = ("predict", run, str(photos.parent / "none.png"), "--results", str(store.root))
    for more in (("--out", str(photos.parent / "none.csv")), ()):
        status, _, err = vcbench(*nothing, *more)
        assert status == 2 and "none of 1 images could be read" in err
    calibrated = pd.read_csv(target, dtype={"class": str}).dropna(subset=["rank"])
    assert calibrated[calibrated["rank"] == 1]["class"].tolist() == first["class"].tolist()
    temperature = float(out.partition("temperature ")[2].partition(",")[0])
    logits = np.log(given.to_numpy())
    again = calibrated.pivot(index="image", columns="class", values="probability").to_numpy()
    np.testing.assert_allclose(again, softmax(logits / temperature, axis=1), atol=5e-3)


def test_names_that_are_not_utf_8_and_the_table_of_an_earlier_run(store, runs, photos, vcbench, tmp_path):
    """The former have their row; the latter is none of the images, though it lies among them."""
    shutil.copy(photos / "000.png", os.fsencode(tmp_path) + b"/caf\xe9.png")
    table = tmp_path / "predicted.csv"
    command = ("predict", runs["vit_digits"].id, str(tmp_path), "--results", str(store.root))
    for _ in range(2):
        assert vcbench(*command, "--uncalibrated", "--out", str(table))[0] == 0
        assert pd.read_csv(table)["image"].tolist() == [f"{tmp_path}/caf[U+DCE9].png"]


def test_folders_are_searched_as_those_that_are_trained_on(tmp_path):
    """Through links but not in circles, without hidden and system files; all else is listed."""
    here, elsewhere = tmp_path / "new", tmp_path / "elsewhere"
    for name in ("new/b.png", "new/a/1.png", "new/notes.txt", "elsewhere/2.png", "new/Thumbs.db",
                 "new/.hidden.png", "new/.cache/3.png", "new/@eaDir/4.png"):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (here / "linked").symlink_to(elsewhere)
    (elsewhere / "back").symlink_to(here)
    (here / "gone.png").symlink_to(tmp_path / "nowhere.png")
    found = [str(path.relative_to(here)) for path in image_files([here])]
    assert found == ["a/1.png", "b.png", "gone.png", "linked/2.png", "notes.txt"]


def exported(vcbench, store, run, form, out, *more):
    status, said, err = vcbench(
        "export", run, "--format", form, "--out", str(out), "--results", str(store.root),
        "--weights-dir", str(store.root.parent), *more,
    )  # fmt: skip
    assert status == 0 and f"the same logits as run {run}" in said
    # Digits are 8 px, and scaled to 16: what timm's transform does not say.
    assert err.count("\n") == (form == "timm") and ("timm's own transform" in err) == (form == "timm")
    return out


def shown(store, run, photos):
    """The input of the run's network before it is normalised: RGB in 0..1, float32 (n, 3, 16, 16)."""
    loaded = load(run, weights=None, weights_dir=store.root.parent, results=store.root)
    pixels = [np.asarray(Image.open(path).convert("RGB")) for path in sorted(photos.glob("0*.png"))]
    images = torch.stack([torch.tensor(loaded.shown(one)) for one in pixels]).permute(0, 3, 1, 2) / 255
    return images.numpy()


@pytest.mark.parametrize(
    "model", ["vit_digits", "resnet_digits", "frozen vit_digits", "frozen resnet_digits"]
)
@pytest.mark.parametrize("form", ["onnx", "openvino"])
def test_a_graph_gives_what_the_store_says(form, model, store, runs, photos, vcbench, tmp_path):
    run = runs[model].id
    folder = exported(vcbench, store, run, form, tmp_path / "out")
    images = shown(store, run, photos)
    if form == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(folder / "model.onnx")
        logits, probabilities = session.run(None, {"images": images})
        facts = {k: json.loads(v) for k, v in session.get_modelmeta().custom_metadata_map.items()}
    else:
        import openvino

        given = openvino.compile_model(folder / "model.xml", "CPU")({"images": images})
        logits, probabilities = given["logits"], given["probabilities"]
        facts = json.loads((folder / "facts.json").read_text())
    assert logits.argmax(1).tolist() == store.predictions(runs[model])["predicted"][:40].tolist()
    np.testing.assert_allclose(probabilities, softmax(logits / facts["temperature"], axis=1), atol=1e-5)
    assert facts["class_names"] == [str(k) for k in range(10)]
    assert facts["licence"] == ("apache-2.0" if model.startswith("frozen") else None)
    card = (folder / "README.md").read_text()
    assert f"{runs[model].top1:.4f}" in card and run in card


def test_a_licence_is_that_of_pretrained_weights_alone(store, runs, tmp_path):
    """Networks that began with random weights have none, and that of a file of one's own is not known."""

    def stated(loaded):
        about = formats.facts(loaded, None)
        record = next(one for one in runs.values() if one.id == loaded.run)
        head, text = model_card(record, about, "m.onnx").split("---\n")[1:]
        (line,) = [line for line in text.splitlines() if line.startswith("- Training began with ")]
        return (
            about["licence"],
            yaml.safe_load(head).get("license"),
            line.removesuffix(" terms of their own."),
        )

    scratch, frozen = (
        load(runs[name].id, weights=None, weights_dir=store.root.parent, results=store.root)
        for name in ("vit_digits", "frozen vit_digits")
    )
    began, have = "- Training began with", ". The images have"
    assert stated(scratch) == (None, None, f"{began} random weights{have}")
    licence = find_card("vit_digits").licence
    assert stated(frozen) == (
        licence, licence, f"{began} pretrained weights, whose licence is {licence}{have}"
    )  # fmt: skip
    own = f"{began} weights of one's own, whose licence is not known{have}"
    assert stated(replace(frozen, began="file:own.safetensors")) == (None, None, own)


def test_the_command_line_offers_every_format():
    assert tuple(formats.WRITERS) == MODEL_FORMATS


def test_timm_reads_its_folder_and_the_weights_are_those_of_the_run(store, runs, vcbench, tmp_path):
    run = runs["vit_digits"].id
    folder = exported(vcbench, store, run, "timm", tmp_path / "timm")
    network = timm.create_model(f"local-dir:{folder}", pretrained=True)
    kept = load_file(store.root / "runs" / run / "weights.safetensors")
    for name, value in network.state_dict().items():
        assert torch.equal(value, kept[name])
    hub = ("--hub-dataset", "digits=me/digits")
    plain = exported(vcbench, store, run, "safetensors", tmp_path / "plain", *hub)
    (entry,) = yaml.safe_load((plain / ".eval_results" / f"{run}.yaml").read_text())
    assert entry["dataset"]["id"] == "me/digits" and f"run {run}" in entry["notes"]
    assert entry["value"] == pytest.approx(runs["vit_digits"].top1, abs=1e-6)
    assert not (folder / ".eval_results").exists()
    assert load_file(plain / "model.safetensors").keys() == kept.keys()
    ready = json.loads((plain / "facts.json").read_text())["preprocessing"]
    assert (ready["resize_px"], ready["center_crop_px"], ready["scale_px"]) == (8, None, 16)
    assert "then all of it scaled to 16 px" in (plain / "README.md").read_text()


@pytest.mark.parametrize("name", NAMES)
def test_a_probe_is_the_last_layer_of_its_network(name, store, runs, photos, vcbench, tmp_path):
    """Held against scikit-learn's normalisation and the stored layer, on timm's features."""
    run = runs[f"frozen {name}"].id
    folder = exported(vcbench, store, run, "safetensors", tmp_path / "plain")
    facts = json.loads((folder / "facts.json").read_text())
    assert facts["last_layer"] == "a linear probe of features brought to unit length"
    card = find_card(name)
    random = resolve_weights(card, "none", tmp_path, download=False)
    network = make_model(card, random, classes=10, input_size=16).eval()
    network.load_state_dict(load_file(folder / "model.safetensors"))
    loaded = load(run, weights=None, weights_dir=store.root.parent, results=store.root)
    images = (
        torch.tensor(shown(store, run, photos)) - loaded.pipeline.mean.view(3, 1, 1)
    ) / loaded.pipeline.std.view(3, 1, 1)
    with torch.inference_mode():
        features = network.forward_head(network.forward_features(images), pre_logits=True).numpy()
        given = loaded.network(images).numpy()
    kept = load_file(store.root / "runs" / run / "weights.safetensors")
    expected = normalize(features) @ kept["weight"].numpy().T + kept["bias"].numpy()
    np.testing.assert_allclose(given, expected, atol=1e-4)
    assert given.argmax(1).tolist() == store.predictions(runs[f"frozen {name}"])["predicted"][:40].tolist()
    status, _, err = vcbench(
        "export", run, "--format", "timm", "--out", "timm", "--results", str(store.root),
        "--weights-dir", str(store.root.parent),
    )  # fmt: skip
    assert status == 2 and "its last layer, a linear probe, is not that of timm's" in err
    other = make_model(card, random, classes=10, input_size=16, seed=7)
    save_file(other.state_dict(), tmp_path / f"{name}.safetensors")
    with pytest.raises(WeightsError, match="its features are of other weights"):
        load(run, weights=None, weights_dir=tmp_path, results=store.root)


def test_a_probe_of_a_network_that_ends_in_a_convolution_is_refused():
    network = timm.create_model("resnetv2_50x1_bit", num_classes=3)
    probe = LinearProbe(np.zeros((3, 2048)), np.zeros(3))
    with pytest.raises(InputError, match="its last layer is a Conv2d, where a linear probe would be Linear"):
        with_probe(network, probe, name="bit", size=64)


@pytest.mark.parametrize("form", ["timm", "safetensors"])
def test_networks_whose_parts_share_weights(form, tmp_path):
    """A safetensors file has no shared tensors."""
    loaded = load("coat_lite_tiny", weights="none", weights_dir=tmp_path, results=tmp_path / "none")
    state = loaded.network.state_dict()
    assert len({tensor.data_ptr() for tensor in state.values()}) < len(state)
    path = formats.export_model(loaded, form, tmp_path / "out", None, lambda name: name)
    read = load_file(path)
    assert read.keys() == state.keys()
    assert all(torch.equal(read[name], tensor) for name, tensor in state.items())


def test_a_file_that_gives_something_else_is_not_kept(store, runs, tmp_path, monkeypatch):
    loaded = load(runs["vit_digits"].id, weights=None, weights_dir=tmp_path, results=store.root)
    true = formats._check

    def other(logits, *rest):
        true(logits + 1, *rest)

    monkeypatch.setattr(formats, "_check", other)
    with pytest.raises(formats.Mismatch, match="away from the network's"):
        formats.export_model(loaded, "onnx", tmp_path / "out", None, str)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("export", "RUN", "--format", "onx", "--out", "new"), "--format onx: of a run should be onnx, "),
        (("export", "RUN", "--format", "onnx", "--out", "."), ".: is there already; give another --out"),
        (
            ("export", "RUN", "--format", "onnx", "--out", "new", "--hub-dataset", "cifar10=me/cifar10"),
            "is of digits; give digits=OWNER/NAME alone",
        ),
        (("export", "vit_digits", "--format", "onnx", "--out", "new"), "is a model; give the id of a run"),
        (("predict", "RUN", "nowhere.png"), "nowhere.png: no such file or folder"),
        (("predict", "0000000", "PHOTOS"), "no run or profile"),
        (("predict", "RUN", "PHOTOS", "--out", "PHOTO"), "0.png: exists already, and is no table"),
        (("predict", "RUN", "PHOTOS", "--out", "PHOTOS"), "exists already, and is no table"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_one_line(arguments, line, store, runs, photos, vcbench):
    (photo, *_) = sorted(photos.glob("*0.png"))
    own = {"RUN": runs["vit_digits"].id, "PHOTOS": str(photos), "PHOTO": str(photo)}
    status, _, err = vcbench(*(own.get(one, one) for one in arguments), "--results", str(store.root))
    assert status == 2 and line in err and err.count("\n") == 1


def test_a_run_without_a_network_says_why(vcbench, tmp_path):
    """One that diverged, which would do so again, and a job of a search, which is never tested."""
    diverged = run_id("vit", None, 0)
    right = {("vit", None): np.ones((1, 40), dtype=bool)}
    root = write_store(tmp_path / "store", right, diverged=(diverged,))
    (root / "searches" / "0123456789ab").mkdir(parents=True)
    for run, line in (
        (diverged, f"{diverged}: diverged (loss is not finite); take another run of vit_digits"),
        ("0123", "0123: is a job of a search, which is never tested; take a run of vcbench tables"),
    ):
        status, _, err = vcbench("predict", run, str(root), "--results", str(root))
        assert (status, err.count("\n")) == (2, 1) and line in err
