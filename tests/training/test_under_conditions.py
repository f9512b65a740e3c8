"""Trained models under other conditions: from the stored weights, on images changed at the input size."""

from zlib import crc32

import numpy as np
import pandas as pd
import pytest
import timm
import torch
from safetensors.torch import load_file
from timm.layers import resample_abs_pos_embed

import bench.running.execute as execute_module
from bench.data.augment import Pipeline
from bench.networks import find_card, make_model, resolve_weights
from bench.networks.weight_file import tensors_as_bytes
from bench.planning.plan import Resolver
from bench.report.blocks import Figure, Table, walk
from bench.report.evidence import gather
from bench.report.sections.robustness import conditions as conditions_in_numbers
from bench.report.sections.robustness import robustness
from bench.spec.recipe import Augment, load_recipe
from bench.tables.tables import build_tables
from bench.training.features import penultimate
from bench.training.inputs import Inputs
from bench.training.observer import Silent
from bench.training.stored import read_neighbours, read_probe


def ask(suite, *conditions, reference=None):
    """Add conditions to the suite's file."""
    text = suite.read_text()
    extra = f"conditions = {list(conditions)}\n" + (f'reference = "{reference}"\n' if reference else "")
    suite.write_text(text.replace("[comparison.set]", f"{extra}[comparison.set]"))


def predicted(store, trial, condition):
    return pd.read_parquet(store.evaluation_files(trial, condition).predictions)["predicted"].to_numpy()


def inputs_of(outcome, store, folder, **how):
    job = outcome.job.training
    return Inputs.open(
        job, Resolver(folder, folder, None), "cpu", store.files(job.id), Silent(), splits=("test",), **how
    )


def normalised(pixels):
    """Of a uint8 image with the mean and standard deviation 0.5 of the cards."""
    return torch.from_numpy(pixels.astype(np.float32) / 127.5 - 1).permute(0, 3, 1, 2)


def test_what_is_asked_for_later_is_evaluated_without_training(tiny, run, tmp_path, monkeypatch):
    store, (vit, resnet) = run(tiny)
    clean = {one.record.id: predicted(store, one.record.id, "clean") for one in (vit, resnet)}
    ask(tiny, "gaussian_noise-5", "resolution-24", reference="resnet")
    monkeypatch.setattr(execute_module, "fit", lambda inputs: pytest.fail("trained again"))
    store, _ = run(tiny)
    assert len(store.names("runs")) == 2 and len(store.names("evaluations")) == 6
    for trial, before in clean.items():
        assert (predicted(store, trial, "clean") == before).all()
    trial = vit.record.id
    tensors, card = load_file(store.files(trial).weights), find_card("vit_digits")
    network = timm.create_model(card.architecture, num_classes=10, **card.options, img_size=16).eval()
    network.load_state_dict(tensors)
    inputs = inputs_of(vit, store, tmp_path)
    pixels = inputs.pipeline.shown(torch.from_numpy(np.array(inputs.decode("test")))).numpy()
    noisy = []
    for position, image in enumerate(pixels):
        rng = np.random.default_rng((crc32(b"gaussian_noise"), position))
        noisy.append(np.rint(255 * np.clip(image / 255 + rng.normal(0, 0.1, image.shape), 0, 1)))
    shown = inputs_of(vit, store, tmp_path, condition="gaussian_noise-5").images("test")
    assert (shown.batch(np.arange(600)).numpy() == np.stack(noisy)).all()
    with torch.inference_mode():
        logits = network(normalised(np.stack(noisy)))
    assert (logits.argmax(1).numpy() == predicted(store, trial, "gaussian_noise-5")).mean() > 0.995
    # At another size, with position embeddings as timm resamples them.
    larger = timm.create_model(card.architecture, num_classes=10, **card.options, img_size=24).eval()
    embedding = resample_abs_pos_embed(tensors["pos_embed"], [6, 6], [4, 4])
    larger.load_state_dict(tensors | {"pos_embed": embedding})
    pipeline = Pipeline(load_recipe("scratch").augment, input_size=24, mean=card.mean, std=card.std)
    with torch.inference_mode():
        logits = larger(pipeline.evaluate(torch.from_numpy(np.array(inputs.decode("test")))))
    assert (logits.argmax(1).numpy() == predicted(store, trial, "resolution-24")).mean() > 0.995


def test_tables_have_a_row_a_condition_and_verdicts_are_of_clean_images(tiny, run):
    tiny.write_text(tiny.read_text().replace("replicates = 1", "replicates = 3"))
    ask(tiny, "contrast", "occlusion-50", reference="resnet")
    store, outcomes = run(tiny)
    tables = build_tables(store)
    names = ["clean", "occlusion-50", *(f"contrast-{level}" for level in range(1, 6))]
    accuracy, contrasts = tables["accuracy"], tables["contrasts"]
    assert accuracy.groupby("condition").size().to_dict() == dict.fromkeys(names, 6)
    assert contrasts["condition"].value_counts().to_dict() == dict.fromkeys(names, 1)
    labels = store.labels(outcomes[0].record.data)["label"].to_numpy()
    for row in accuracy.itertuples():
        assert row.top1 == (predicted(store, row.run, row.condition) == labels).mean()
        of_clean = accuracy[(accuracy["run"] == row.run) & (accuracy["condition"] == "clean")]
        assert row.not_trained == of_clean["not_trained"].item() or pd.isna(row.not_trained)
    for row in contrasts.itertuples():
        assert row.primary == (row.condition == "clean") and row.replicates == 3
        assert row.primary or (row.verdict == "none" and pd.isna(row.p_adjusted))
        own = accuracy[accuracy["condition"] == row.condition].groupby("contestant")["top1"].mean()
        assert row.difference == pytest.approx(own["vit"] - own["resnet"])
    errors = 1 - accuracy.groupby(["contestant", "condition"])["top1"].mean().unstack(0)
    of_contrast = errors.loc[[name for name in names if name.startswith("contrast")]].sum()
    (row,) = tables["robustness"].query('contestant == "vit" and condition == "corruptions"').itertuples()
    assert row.corruption_error == pytest.approx(of_contrast["vit"] / of_contrast["resnet"])
    assert row.replicates == 3 and row.levels == "1 2 3 4 5"
    check_section(store, accuracy, row.corruption_error)


def check_section(store, accuracy, mce):
    """Figures and table of the report have the accuracies of the table, and the mCE."""
    section = robustness(gather(store, "tiny"))
    figures = {block.name: block for block in walk(section.blocks) if isinstance(block, Figure)}
    assert sorted(figures) == ["robustness-digits-occlusion", "robustness-digits-severity"]
    for name, conditions in (
        ("severity", {0: "clean", **{level: f"contrast-{level}" for level in range(1, 6)}}),
        ("occlusion", {0: "clean", 50: "occlusion-50"}),
    ):
        data = figures[f"robustness-digits-{name}"].data
        assert len(data) == 2 * len(conditions) and (data["replicates"] == 3).all()
        for row in data.itertuples():
            own = accuracy[accuracy["condition"] == conditions[row.level]]
            wanted = own[own["contestant"] == row.contestant]["top1"].mean()
            assert row.top1 == pytest.approx(wanted) and row.low <= wanted <= row.high
    in_numbers = conditions_in_numbers(gather(store, "tiny"))
    (table,) = [block for block in walk(in_numbers.blocks) if isinstance(block, Table)]
    rows = {row[0].text: [field.text for field in row[1:]] for row in table.rows}
    assert list(rows) == ["Clean", "Contrast", "Occlusion", "Mean of the corruptions", "mCE", "Relative mCE"]
    assert rows["mCE"] == ["", f"{mce:.2f}", "1.00"] and rows["Contrast"][0] == "1 2 3 4 5"


@pytest.mark.parametrize("recipe", ["linear-probe", "knn"])
def test_what_reads_features_reads_those_of_the_changed_images(tmp_path, tiny, run, recipe):
    card = find_card("vit_digits")
    random = resolve_weights(card, "none", tmp_path, download=False)
    network = make_model(card, random, classes=10, input_size=16, seed=3).eval()
    (tmp_path / "vit.safetensors").write_bytes(tensors_as_bytes(network.state_dict()))
    text = tiny.read_text().partition("[comparison.set]")[0].replace("scratch", recipe)
    lines = [line for line in text.splitlines() if "contrasts" not in line and "resnet =" not in line]
    text = "\n".join([*lines, "[comparison.set]\n"]).replace('["vit", "resnet"]', '["vit"]')
    weights = f'weights = "file:{tmp_path / "vit.safetensors"}"'
    tiny.write_text(text.replace('"vit_digits" }', f'"vit_digits", {weights} }}'))
    store, (outcome,) = run(tiny)
    trial = outcome.record.id
    before = predicted(store, trial, "clean")
    ask(tiny, "occlusion-75", "resolution-8")
    store, _ = run(tiny)
    knn = load_recipe(recipe).knn
    weights = store.files(trial).weights
    reader = read_probe(weights) if knn is None else read_neighbours(weights, knn, 10)
    assert (predicted(store, trial, "clean") == before).all()
    small = make_model(card, random, classes=10, input_size=8, seed=3).eval()
    tensors = network.state_dict()
    small.load_state_dict(
        tensors | {"pos_embed": resample_abs_pos_embed(tensors["pos_embed"], [2, 2], [4, 4])}
    )
    for condition, net in (("occlusion-75", network), ("resolution-8", small)):
        inputs = inputs_of(outcome, store, tmp_path, condition=condition)
        with torch.inference_mode():
            features = penultimate(net)(inputs.pipeline.evaluate(inputs.images("test").batch(np.arange(600))))
        wanted = reader.logits(features.numpy()).argmax(1)
        got = predicted(store, trial, condition)
        assert (got == wanted).mean() > 0.99 and (got != before).mean() > 0.05


@pytest.mark.parametrize("side", [18, 8])
def test_images_are_changed_at_the_input_size(side):
    """Those that are stored with a margin after it is cut off; smaller ones after they are scaled."""
    rng = np.random.default_rng(0)
    stored = torch.from_numpy(rng.integers(0, 256, (3, side, side, 3), dtype=np.uint8))
    pipeline = Pipeline(Augment(), input_size=16, mean=(0.5,) * 3, std=(0.5,) * 3)
    shown = pipeline.shown(stored)
    assert shown.shape == (3, 16, 16, 3) and shown.dtype == torch.uint8
    if side == 18:
        assert (shown == stored[:, 1:-1, 1:-1]).all()
    half_a_level = 0 if side == 18 else 0.5 / 127.5 + 1e-6
    torch.testing.assert_close(pipeline.evaluate(shown), pipeline.evaluate(stored), rtol=0, atol=half_a_level)


def test_removed_position_embeddings(tiny, run, tmp_path):
    ask(tiny, "no_position")
    store, (vit, resnet) = run(tiny)
    tensors, card = load_file(store.files(vit.record.id).weights), find_card("vit_digits")
    network = timm.create_model(card.architecture, num_classes=10, **card.options, img_size=16).eval()
    inputs = inputs_of(vit, store, tmp_path)
    images = inputs.pipeline.evaluate(torch.from_numpy(np.array(inputs.decode("test"))))
    for condition, factor in (("clean", 1), ("no_position", 0)):
        network.load_state_dict(tensors | {"pos_embed": factor * tensors["pos_embed"]})
        with torch.inference_mode():
            logits = network(images)
        assert (logits.argmax(1).numpy() == predicted(store, vit.record.id, condition)).mean() > 0.995
    # A CNN has none to lose.
    assert (
        predicted(store, resnet.record.id, "clean") == predicted(store, resnet.record.id, "no_position")
    ).all()
