"""What a trial trains, beside a plain loop of torch and timm on the same network, data and seeds.

The harness's side is the whole way from a suite's file to the weights that count.
"""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from sklearn.datasets import load_digits
from training.reference import Data, plain_loop

from bench.data import open_dataset
from bench.networks import find_card
from bench.planning.plan import Resolver, trials_of
from bench.spec.job import TrainJob
from bench.spec.recipe import load_recipe, recipe_names
from bench.spec.suite import load_suite
from bench.store.job_files import JobFiles
from bench.training.fit import fit
from bench.training.inputs import Inputs
from bench.training.observer import Silent

SIZE, SHOTS = 16, 3
TRAINED = [n for n in recipe_names() if not (load_recipe(n).frozen or load_recipe(n).distill)]
TOKEN = "vit_micro_distilled_patch4_32"
MODELS = {"vit": "vit_digits", "resnet": "resnet_digits"}


def resolved_trial(
    folder: Path, recipe: str, model: str, settings: tuple[str, ...] = (), *, weights="none", replicate=1
) -> TrainJob:
    """A trial of six steps, in two epochs, as a suite's file asks for it."""
    path = folder / "wiring.toml"
    path.write_text(f"""
title = "wiring"
description = "for tests"
[models]
vit = {{ model = "vit_digits", weights = "{weights}" }}
resnet = {{ model = "resnet_digits", weights = "{weights}" }}
[[comparison]]
name = "digits"
dataset = "digits"
contestants = ["{model}"]
recipe = "{recipe}"
shots = [{SHOTS}]
replicates = 3
input_size = {SIZE}
[comparison.set]
"budget.epochs" = 2
"budget.batch_size" = 8
""")
    trained = load_recipe(recipe).budget
    settings = (*settings, "recipe.budget.min_steps=0") if trained.min_steps else settings
    trial = next(t for t in trials_of(load_suite(str(path), settings)) if t.replicate == replicate)
    made = Resolver(folder, folder, None).resolve(trial)
    assert isinstance(made, TrainJob), made
    return made


def trained_weights(resolved: TrainJob, folder: Path) -> dict[str, torch.Tensor]:
    """The weights that count, of a trial run by the harness."""
    files = JobFiles(folder / resolved.id)
    model, training = fit(Inputs.open(resolved, Resolver(folder, folder, None), "cpu", files, Silent()))
    assert training.steps == 6 and training.epochs == 2 and training.images_seen == 48
    return dict(model.tensors())


def digits(indices: np.ndarray) -> Data:
    """Some of scikit-learn's digits, as the dataset `digits` gives them."""
    bunch = load_digits()
    levels = (bunch.images[indices] * (255 / 16)).round().astype(np.uint8)
    images = np.repeat(levels[..., None], 3, 3)
    return Data(torch.from_numpy(images), torch.from_numpy(bunch.target[indices].astype(np.int64)))


def drawn_subset(draw: int) -> np.ndarray:
    """Indices of the three training images of each digit that come first by their hash."""
    train = open_dataset("digits", None, Path(), store=None).splits["train"]
    labels = load_digits().target[train]
    chosen = []
    for digit in range(10):
        positions = np.flatnonzero(labels == digit)
        keys = [hashlib.sha256(f"digits\0frozen\0{draw}\0{digit}\0{i}".encode()).digest() for i in positions]
        chosen += [positions[i] for i in sorted(range(len(keys)), key=keys.__getitem__)[:SHOTS]]
    return train[np.sort(chosen)]


def plain_network(model: str, seed: int, outputs: int, drop_path: float) -> torch.nn.Module:
    """The network of a card, made by timm."""
    card = find_card(MODELS[model])
    torch.manual_seed(seed)
    sized = {"img_size": SIZE} if model == "vit" else {}
    stochastic = {"drop_path_rate": drop_path} if drop_path else {}
    network = timm.create_model(card.architecture, num_classes=outputs, **card.options, **sized, **stochastic)
    if model == "resnet":  # the stem for small images, initialised as timm's own
        network.conv1 = torch.nn.Conv2d(3, network.conv1.out_channels, 3, padding=1, bias=False)
        torch.nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
        network.maxpool = torch.nn.Identity()
    return network


def plain_weights(
    resolved: TrainJob, *, weights: Path | None = None, outputs=10, keep_head=False, replicate=1, **how
) -> dict[str, torch.Tensor]:
    """The weights that a plain loop gives for the same trial."""
    recipe, card = resolved.trial.recipe, find_card(resolved.trial.model)
    network = plain_network(resolved.trial.contestant, replicate, outputs, recipe.drop_path)
    if card.kind == "cnn":
        network = network.to(memory_format=torch.channels_last)
    if weights is not None:
        tensors = load_file(weights)
        heads = () if keep_head else ("head.", "fc.")
        tensors = {name: value for name, value in tensors.items() if not name.startswith(heads)}
        network.load_state_dict(tensors, strict=keep_head)
    val = open_dataset("digits", None, Path(), store=None).splits["val"]
    return plain_loop(
        network,
        digits(drawn_subset(replicate)),
        digits(val),
        recipe,
        input_size=SIZE,
        mean=card.mean,
        std=card.std,
        outputs=outputs,
        seed=replicate,
        precision=resolved.trial.precision,
        **how,
    )


def difference(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> float:
    """The largest difference of any weight."""
    assert first.keys() == second.keys()
    return max(float((first[name].double() - second[name].double()).abs().max()) for name in first)


@pytest.fixture(scope="module")
def weight_files(tmp_path_factory) -> dict[str, Path]:
    """Weights to begin from, with heads of 1,000 outputs."""
    folder = tmp_path_factory.mktemp("weights")
    for model in MODELS:
        save_file(plain_network(model, 99, 1000, 0.0).state_dict(), folder / f"{model}.safetensors")
    return {model: folder / f"{model}.safetensors" for model in MODELS}


CASES = [
    *((recipe, model, "fp32") for recipe in TRAINED for model in MODELS),
    *(("scratch", model, "bf16") for model in MODELS),
]


@pytest.mark.parametrize("recipe, model, precision", CASES)
def test_a_trial_is_a_plain_loop_of_torch_and_timm(recipe, model, precision, tmp_path, weight_files):
    rules = load_recipe(recipe)
    keep_head = rules.head_outputs is not None
    pretrained = weight_files[model] if keep_head or recipe == "finetune" else None
    resolved = resolved_trial(
        tmp_path,
        recipe,
        model,
        (f"comparison.precision={precision}",),
        weights=f"file:{pretrained}" if pretrained else "none",
    )
    expected = plain_weights(
        resolved, weights=pretrained, outputs=rules.head_outputs or 10, keep_head=keep_head
    )
    # Where a gradient is zero but for rounding (the bias of attention's keys), Adam makes steps of the
    # rounding, up to a few hundredths of the learning rate.
    tolerance = max(1e-5, 0.05 * rules.optimizer.lr)
    assert difference(trained_weights(resolved, tmp_path), expected) < tolerance


@pytest.fixture(scope="module")
def usual(tmp_path_factory) -> tuple[TrainJob, dict[str, torch.Tensor]]:
    """A trial in which everything random is on, and its weights."""
    folder = tmp_path_factory.mktemp("usual")
    resolved = resolved_trial(folder, "vit-strong-aug", "vit")
    return resolved, trained_weights(resolved, folder)


def test_the_same_trial_gives_the_same_weights(usual, tmp_path):
    resolved, weights = usual
    assert difference(trained_weights(resolved, tmp_path), weights) == 0


CHANGES = [
    "comparison.precision=bf16",
    "recipe.drop_path=0.0",
    "recipe.label_smoothing=0.0",
    "recipe.augment.flip=false",
    "recipe.augment.random_crop=none",
    "recipe.augment.interpolation=bilinear",
    "recipe.augment.scale=[0.9, 1.0]",
    "recipe.augment.randaugment.ops=1",
    "recipe.augment.randaugment.magnitude=20",
    "recipe.augment.randaugment.std=0.0",
    "recipe.augment.randaugment.prob=1.0",
    "recipe.augment.repeats=1",
    "recipe.augment.erase=0.0",
    "recipe.augment.mixup=0.0",
    "recipe.augment.cutmix=0.0",
    "recipe.augment.mix_prob=0.0",
    "recipe.augment.mean=[0.4, 0.5, 0.5]",
    "recipe.augment.std=[0.4, 0.5, 0.5]",
    "recipe.optimizer.clip_grad=0.0001",
    "recipe.optimizer.lr=4e-4",
    "recipe.optimizer.weight_decay=0.0",
    "recipe.optimizer.betas=[0.8, 0.999]",
    "recipe.schedule.warmup=0.5",
    "recipe.schedule.name=constant",
]


@pytest.mark.parametrize("setting", CHANGES)
def test_every_setting_reaches_the_weights(setting, usual, tmp_path):
    resolved = resolved_trial(tmp_path, "vit-strong-aug", "vit", (setting,))
    assert difference(trained_weights(resolved, tmp_path), usual[1]) > 1e-6


@pytest.mark.parametrize("seed", ["seed", "draw_seed"])
def test_either_seed_reaches_the_weights(seed, usual, tmp_path):
    resolved, weights = usual
    other = replace(resolved, identity=resolved.identity | {seed: 2})
    assert difference(trained_weights(other, tmp_path), weights) > 1e-4


def test_every_epoch_has_an_order_of_its_own(usual):
    resolved, weights = usual
    rounding = 0.05 * resolved.trial.recipe.training[1].lr  # as above
    assert difference(plain_weights(resolved), weights) < rounding
    assert difference(plain_weights(resolved, reshuffle=False), weights) > 1e-4


def test_a_student_is_a_plain_loop_of_torch_and_timm(tmp_path, run):
    """The teacher's weights are those that its own trial stored."""
    mean, std = (0.4, 0.5, 0.6), (0.3, 0.2, 0.25)
    path = tmp_path / "taught.toml"
    path.write_text(f"""
title = "taught"
description = "for tests"
[models]
student = {{ model = "{TOKEN}", recipe = "deit", set = {{ "distill.teacher" = "resnet" }} }}
resnet = {{ model = "resnet_digits", set = {{ "augment.mean" = {list(mean)}, "augment.std" = {list(std)} }} }}
[[comparison]]
name = "digits"
dataset = "digits"
contestants = ["student", "resnet"]
recipe = "vit-strong-aug"
shots = [{SHOTS}]
replicates = 2
input_size = {SIZE}
set = {{ "budget.epochs" = 2, "budget.batch_size" = 8 }}
""")
    store, outcomes = run(path, only=["student"])
    job = next(one.job.training for one in outcomes if one.job.training.trial.replicate == 1)
    card, recipe = find_card(TOKEN), job.trial.recipe
    torch.manual_seed(1)
    network = timm.create_model(
        card.architecture, num_classes=10, img_size=SIZE, drop_path_rate=recipe.drop_path, **card.options
    )
    network.set_distilled_training(True)
    teacher = plain_network("resnet", 1, 10, 0.0)
    teacher.load_state_dict(load_file(store.files(job.teacher.id).weights))
    expected = plain_loop(
        network,
        digits(drawn_subset(1)),
        digits(np.arange(0)),
        recipe,
        input_size=SIZE,
        mean=card.mean,
        std=card.std,
        outputs=10,
        seed=1,
        precision="fp32",
        teacher=teacher,
        teacher_mean=mean,
        teacher_std=std,
    )
    tolerance = 0.05 * recipe.training[1].lr  # as above
    assert difference(load_file(store.files(job.id).weights), expected) < tolerance
