"""A network that is taken away is shown images as it was evaluated on them, small ones too."""

import json
from dataclasses import replace

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from torchvision.transforms import functional as tv

from bench.data.augment import Pipeline
from bench.data.base import Dataset
from bench.data.cache import decoded
from bench.data.square import fit
from bench.deploy.formats import export_model
from bench.deploy.predict import predict_files
from bench.errors import InputError
from bench.inspection.images import from_file
from bench.inspection.loading import load
from bench.spec.recipe import Augment
from bench.store.run_store import RunStore

SUITE = """
title = "t"
description = "d"
[models]
resnet = { model = "resnet_digits" }
"""
COMPARISON = """
[[comparison]]
name = "NAME"
dataset = "folder:FOLDER"
contestants = ["resnet"]
recipe = "scratch"
shots = ["all"]
replicates = 1
input_size = 56
[comparison.set]
"budget.epochs" = 1
"budget.min_steps" = 0
"budget.batch_size" = 8
"augment.resize" = "RESIZE"
"head_outputs" = 3
"""
# Width and height in px of the images of each folder, which take turns; how they are resized; and the side
# at which they have to be stored for a network input of 56 px: 64, of which the centre is cut, or what the
# largest of them needs, where that is at most half.
FOLDERS = {
    "square": ([(50, 50)], "crop", 64),
    "oblong": ([(25, 30)], "crop", 25),
    "mixed": ([(22, 15), (16, 16), (12, 27)], "crop", 16),
    "squashed": ([(22, 15), (16, 16)], "squash", 22),
    "tiny": ([(8, 8)], "crop", 8),
    "large": ([(75, 65)], "crop", 64),
}


def picture(number, size):
    """Smooth and unlike its mirror images, with noise, and far from black and white."""
    rng = np.random.default_rng(number)
    small = Image.fromarray(rng.integers(60, 190, (5, 4, 3), dtype=np.uint8))
    pixels = np.asarray(small.resize(size, Image.Resampling.BICUBIC)).astype(int)
    return Image.fromarray(np.clip(pixels + rng.integers(-10, 10, pixels.shape), 0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """The store of one run a folder, and by folder what its network was shown of its test images."""
    from bench.running.engines.in_process import InProcess
    from bench.running.runner import run_suite
    from bench.running.workspace import Workspace
    from bench.spec.suite import load_suite
    from bench.training.observer import Silent

    folder = tmp_path_factory.mktemp("small")
    shown, true = {}, Pipeline.evaluate

    def watched(self, images):
        given = true(self, images)
        shown.setdefault(name, []).append(given)
        return given

    with pytest.MonkeyPatch.context() as patch:
        for name, (sizes, resize, _) in FOLDERS.items():
            for split, count in (("train", 8), ("val", 2), ("test", 6)):
                for label in range(2):
                    (folder / name / split / f"{label}").mkdir(parents=True)
                    for k in range(count):
                        number = 100 * len(split) + 10 * label + k
                        path = folder / name / split / f"{label}/{k}.png"
                        picture(number, sizes[k % len(sizes)]).save(path)
            text = COMPARISON.replace("NAME", name).replace("FOLDER", str(folder / name))
            (folder / f"{name}.toml").write_text(SUITE + text.replace("RESIZE", resize))
            patch.setattr(Pipeline, "evaluate", watched)
            run_suite(
                load_suite(str(folder / f"{name}.toml")),
                Workspace(folder, folder, folder / "results", "cpu"),
                InProcess(),
                follow=lambda job: Silent(),
                should_stop=lambda: False,
            )
    # The test split is looked at last.
    return RunStore(folder / "results"), {name: torch.cat(given)[-12:] for name, given in shown.items()}


def run_of(store, name):
    (found,) = [one for one in store.results() if one.data.dataset == name]
    return found


@pytest.mark.parametrize("name", FOLDERS)
def test_a_file_is_shown_as_it_was_in_evaluation(name, evaluated):
    store, shown = evaluated
    record = run_of(store, name)
    assert record.stored_side == FOLDERS[name][2]
    model = load(record.id, weights=None, weights_dir=store.root, results=store.root)
    files = sorted((store.root.parent / name / "test").rglob("*.png"))
    pixels = torch.cat([model.input(from_file(path).pixels) for path in files])
    torch.testing.assert_close(pixels, shown[name], atol=1e-5, rtol=0)
    rows = predict_files(model, files)
    assert model.classes == ["0", "1", "class 2"]  # the head has one output more than there are classes
    own = rows["class"].map(model.classes.index)
    assert own.tolist() == store.predictions(record)["predicted"].tolist()


def test_a_record_that_does_not_say_takes_the_images(evaluated):
    store, _ = evaluated
    record = run_of(store, "oblong")
    path = store.root / "runs" / record.id / "record.json"
    kept = path.read_text()
    content = json.loads(kept)
    del content["stored_side"]
    path.write_text(json.dumps(content))
    where = {"weights": None, "weights_dir": store.root, "results": store.root}
    try:
        with pytest.raises(InputError, match="its record does not say"):
            load(record.id, **where)
        model = load(record.id, **where, data_dir=store.root)
    finally:
        path.write_text(kept)
    assert model.stored_side == 25


def test_probabilities_of_own_images_are_calibrated_where_they_lie(evaluated, vcbench, monkeypatch):
    store, _ = evaluated
    monkeypatch.setattr("bench.deploy.calibrate.fit_temperature", lambda logits, labels: 2.0 + len(labels))
    run, folder = run_of(store, "tiny").id, store.root.parent / "tiny"
    status, out, err = vcbench("predict", run, str(folder / "test/0"), "--results", str(store.root))
    assert (status, err) == (0, "") and len(out.splitlines()) == 1 + 6
    moved = folder.rename(folder.with_name("elsewhere"))
    try:
        command = ("predict", run, str(moved / "test/0"), "--results", str(store.root))
        status, out, err = vcbench(*command)
        assert status == 2 and out == "" and err.endswith("; --uncalibrated does without the data\n")
        assert vcbench(*command, "--uncalibrated")[0] == 0
    finally:
        moved.rename(folder)


@pytest.mark.parametrize("size", [24, 30, 32, 224])
def test_a_network_of_a_card_is_shown_the_images_of_a_dataset_as_a_run_on_it_is(size, tmp_path):
    """All 32 px, as those of CIFAR: below the input's side, equal to it, or a little above."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    splits = {"train": np.arange(3), "val": np.arange(0), "test": np.arange(0)}
    dataset = Dataset(
        "n", "s", ["a"], np.zeros(3, int), splits, "0" * 64, "own data", images.__getitem__, str
    )
    dataset = replace(dataset, native_size=32, fingerprint=f"{size:064d}")
    augment = Augment()
    model = load(
        "resnet_digits", weights=None, weights_dir=tmp_path, results=tmp_path, input_size=size, shown=dataset
    )
    stored = decoded(
        dataset, "train", size=augment.stored_size(size), resize="crop", interpolation=augment.interpolation
    )
    pipeline = Pipeline(augment, input_size=size, mean=model.card.mean, std=model.card.std)
    expected = pipeline.evaluate(torch.tensor(np.asarray(stored)))
    torch.testing.assert_close(model.inputs(list(images)), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("size", "augment", "stored", "same", "other"),
    [
        (16, {"crop_pct": 0.8}, 20, [(40, 33), (16, 16), (20, 20), (9, 50)], []),
        (20, {"crop_pct": 0.7}, 29, [(16, 16), (29, 29), (30, 30)], []),  # 20 / (20 / 29) < 29
        (16, {"crop_pct": 1}, 16, [(40, 33), (16, 16), (7, 9)], []),
        (16, {"resize": "squash"}, 16, [(40, 33), (16, 16), (9, 50)], []),
        (16, {"resize": "squash", "interpolation": "bilinear"}, 16, [(40, 33), (16, 16)], []),
        (16, {}, 8, [(8, 8)], [(40, 33), (8, 12), (7, 7)]),
        (16, {"resize": "squash"}, 8, [(8, 8)], [(40, 33), (8, 5)]),
        (16, {}, 17, [(17, 17)], [(40, 33)]),
    ],
)
def test_the_transform_that_timm_makes_of_an_export(size, augment, stored, same, other, tmp_path, caplog):
    """Within the rounding of Pillow to whole levels, which ours does not do where it scales again."""
    model = load("vit_digits", weights=None, weights_dir=tmp_path, results=tmp_path, input_size=size)
    model = replace(model, augment=Augment(**augment), stored_side=stored)
    export_model(model, "timm", tmp_path / "out", None, str)
    network = timm.create_model(f"local-dir:{tmp_path / 'out'}", pretrained=True)
    transform = timm.data.create_transform(**timm.data.resolve_data_config(model=network))
    std = 255 * model.pipeline.std.view(3, 1, 1)

    def apart(sides):
        """By how many levels the two differ at most."""
        image = picture(1, sides)
        return float(((transform(image) - model.input(np.asarray(image))[0]) * std).abs().max())

    scaled_again = stored not in (size, model.augment.stored_size(size))
    assert max(map(apart, same)) < (1.2 if scaled_again else 1e-3)
    assert all(apart(sides) > 2 for sides in other)
    assert ("timm's own transform" in caplog.text) == scaled_again == bool(other)
    ready = json.loads((tmp_path / "out/facts.json").read_text())["preprocessing"]
    image = fit(picture(2, (40, 33)), ready["resize_px"], model.augment.resize, model.augment.interpolation)
    if side := ready["center_crop_px"]:
        image = tv.center_crop(image, side)
    if side := ready["scale_px"]:
        image = image.resize((side, side), Image.Resampling.BICUBIC)
    levels = model.pipeline.evaluate(model.stored(np.asarray(picture(2, (40, 33)))))[0]
    expected = torch.tensor(np.asarray(image)).permute(2, 0, 1) / 255 - model.pipeline.mean.view(3, 1, 1)
    assert float((levels * std - 255 * expected).abs().max()) < (1.2 if scaled_again else 1e-3)
