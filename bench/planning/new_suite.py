"""vcbench new: a suite for somebody's own folder of images."""

from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bench.errors import DataError, InputError
from bench.files import write_text
from bench.spec.kfold import KFold

if TYPE_CHECKING:
    from bench.data import Dataset
    from bench.spec.card import Card

INPUT_SIZE = 224
LOOKED_AT = 5000  # images of which duplicates are looked for, which decodes them all
FOLDS = 5
FEW = 200
"""Test images below which k-fold is pointed out: they decide only differences of many points."""
REPLICATES = 3
SHOTS = (1, 2, 5, 10, 20, 50, 100, 200, 500)


DIVIDED = ("stratified-70-10-20", "grouped-70-10-20")
"""The split ids of images that might as well be in folds."""

TUNED = """# Every model gets the learning rate that suits it, by the same search. Without this line all are
# trained with the recipe's own: faster, and a first look only.
protocol = "tuned"
"""
TOO_FEW = """# With fewer than two training images a class none can be held out to choose a learning rate by:
# all models are trained with the recipe's own.
"""
IN_FOLDS = """# Each image is tested once a replicate, by a network that has not seen it. As all images are
# test images, nothing is searched: all models are trained with the recipe's own learning rate.
"""


@dataclass(frozen=True)
class Written:
    """A suite file that was written: its path, what was chosen for it in lines, and warnings of the data."""

    path: Path
    choices: tuple[str, ...]
    warnings: tuple[str, ...]


def write_suite(
    folder: Path,
    models: str,
    shots: str | None,
    out: Path | None,
    *,
    weights: Literal["card", "none"] = "card",
    weights_dir: Path = Path("data/weights"),
    folds: int | None = None,
    precision: str = "fp32",
) -> Written:
    """Write a suite file that compares `models` on the images in `folder`.

    Args:
        folder: DIR/CLASS/image or DIR/{train,val,test}/CLASS/image, or a table of images.
        models: names separated by commas.
        shots: images per class separated by commas; by default those of SHOTS that every class has.
        out: where to write; by default NAME.toml of the folder, here.
        weights: "card" for pretrained weights, "none" for random ones.
        weights_dir: where weight files lie.
        folds: of k-fold, in place of one split.
        precision: "bf16" is fast on GPUs and many times slower than "fp32" on most processors.

    Raises:
        DataError: the folder is not a dataset.
        InputError: pretrained weights are known for some models and not for others, an unknown model, shots
            that a class does not have, folds that the images do not allow, or a file that exists.
    """
    import numpy as np

    from bench.networks import find_card
    from bench.spec.suite import suite_names

    names = list(dict.fromkeys(name.strip() for name in models.split(",") if name.strip()))
    if not names:
        raise InputError("--models: should name at least one model, as in deit_small_patch16_224,resnet50")
    cards = [find_card(name) for name in names]
    shown = folder.resolve().stem if folder.is_file() else folder.resolve().name
    path = out or Path(f"{shown}.toml")
    if path.suffix != ".toml":
        raise InputError(f"--out {path}: should end in .toml")
    if path.stem in suite_names():
        raise InputError(
            f'{path}: "{path.stem}" is the name of a suite that comes with vcbench, and results are kept by '
            "name; choose another --out"
        )
    if path.exists():
        raise InputError(f"{path} exists already; choose another --out")
    divisions = [open_own(folder)] if folds is None else _in_folds(folder, folds)
    dataset, classes = divisions[0], len(divisions[0].class_names)
    split_id = dataset.split_id if folds is None else KFold(folds).split_id
    alike = _alike(dataset)
    counts = np.min([np.bincount(one.split_labels("train"), minlength=classes) for one in divisions], axis=0)
    smallest = int(counts.min())
    chosen = _numbers(shots) if shots else [number for number in SHOTS if number <= smallest]
    if chosen and max(chosen) > smallest:
        raise InputError(
            f"--shots {shots}: class {dataset.class_names[int(counts.argmin())]!r} has {smallest} training "
            f"images; ask for at most {smallest}"
        )
    sources = [None if weights == "none" else _source(card, weights_dir) for card in cards]
    _all_or_none(cards, sources, weights_dir)
    contestants = [name.replace(".", "-") for name in names]
    models_text = "\n".join(
        f"{key} = {{ model = {quoted(card.name)}, title = {quoted(card.title)}, "
        f"weights = {quoted('card' if source else 'none')} }}"
        for key, card, source in zip(contestants, cards, sources, strict=True)
    )
    pairs = ", ".join(f"[{quoted(a)}, {quoted(b)}]" for a, b in combinations(contestants, 2))
    recipe = "finetune" if all(sources) else "scratch"
    size = f"{classes} classes, {counts.sum()} training images, split {split_id}."
    tuned = IN_FOLDS if folds is not None else TUNED if can_search(int(counts.sum()), classes) else TOO_FEW
    text = f"""title = {quoted(f"{', '.join(card.title for card in cards)} on {dataset.name}")}
description = {quoted(size)}
# A difference within delta (a fraction of 1) is called equivalent.
delta = 0.01

[models]
{models_text}

[[comparison]]
name = {quoted(dataset.name)}
dataset = {quoted(own_name(folder.resolve()))}
split_id = {quoted(split_id)}
contestants = [{", ".join(quoted(key) for key in contestants)}]
recipe = {quoted(recipe)}
{tuned}shots = [{", ".join([*map(str, chosen), '"all"'])}]
replicates = {REPLICATES}
input_size = {INPUT_SIZE}
precision = {quoted(precision)}
# Decide now which differences you will make claims about; the others stay exploratory.
contrasts = [{pairs}]

[[profiles.cost]]
models = [{", ".join(quoted(card.name) for card in cards)}]
classes = [{len(dataset.class_names)}]
input_size = {INPUT_SIZE}
"""
    write_text(path, text)
    splits = ", ".join(f"{number:,} {split}" for split, number in dataset.counts().items())
    chosen_weights = tuple(
        f"{card.title}: {source or 'random weights'}" for card, source in zip(cards, sources, strict=True)
    )
    each = "" if folds is None else f" in the first of {folds} folds"
    images = f"{dataset.name}: {classes} classes; {splits} images{each} (split {split_id})"
    few = f"{len(dataset.splits['test'])} test images are few; with --folds {FOLDS} every image is tested"
    is_small = folds is None and split_id in DIVIDED and len(dataset.splits["test"]) < FEW
    hint = [few] if is_small and _fits(folder, FOLDS) else []
    return Written(path, (images, *chosen_weights, f"recipe: {recipe}", *hint), (*dataset.warnings, *alike))


def can_search(train_images: int, classes: int) -> bool:
    """Whether there are enough training images for some to be held out, to choose a learning rate by."""
    return train_images >= 2 * classes


def _in_folds(folder: Path, folds: int) -> "list[Dataset]":
    """The images at a path divided for every fold of every replicate.

    Raises:
        InputError, DataError: as `open_dataset`.
    """
    from bench.data import open_dataset
    from bench.data.folds import at_fold

    whole = open_dataset(own_name(folder), KFold(folds).split_id, folder)
    every = [at for repeat in range(REPLICATES) for at in KFold(folds).of_repeat(repeat)]
    return [at_fold(whole, at, None) for at in every]


def _fits(folder: Path, folds: int) -> bool:
    """Whether the images at a path are enough for so many folds."""
    try:
        return bool(_in_folds(folder, folds))
    except (DataError, InputError):
        return False


def own_name(path: Path) -> str:
    """The name of the dataset at a path: that of a folder, a table, or a data set of Hugging Face."""
    from bench.data.datasets.huggingface import is_one

    kind = "table" if path.is_file() else "huggingface" if is_one(path) else "folder"
    return f"{kind}:{path}"


def open_own(path: Path, store: Path | None = None) -> "Dataset":
    """The images at a path; where a split of their own has no val, a part of train is made val.

    Args:
        store: the results folder, where their division is frozen; None freezes nothing.

    Raises:
        DataError: as `open_dataset`.
    """
    from bench.data.meant import open_new

    return open_new(own_name(path), path, store)


def _alike(dataset: "Dataset") -> list[str]:
    """Equal pixels and near duplicates across splits and classes, one line each.

    Raises:
        DataError: an image is damaged.
    """
    from bench.data.alike import find_alike

    if len(dataset.labels) > LOOKED_AT:
        return [f"{dataset.name}: near duplicates were not looked for; vcbench data duplicates does"]
    lines = find_alike(dataset).in_words(dataset)
    return [*lines, "which they are, and how they come on one side: vcbench data duplicates"] if lines else []


def _source(card: "Card", weights_dir: Path) -> str | None:
    """Where the pretrained weights of a model will come from, in words; None where none are known."""
    local = weights_dir / f"{card.name}.safetensors"
    if local.is_file():
        return f"weights from {local}, trained on {card.pretraining}"
    if card.tag:
        return f"weights timm/{card.architecture}.{card.tag} from the hub, trained on {card.pretraining}"
    return None


def _all_or_none(cards: "list[Card]", sources: list[str | None], weights_dir: Path) -> None:
    """No random network is set against a pretrained one unasked.

    Raises:
        InputError: some models have pretrained weights and others have none.
    """
    lacking = next((card for card, source in zip(cards, sources, strict=True) if source is None), None)
    having = next((card for card, source in zip(cards, sources, strict=True) if source is not None), None)
    if lacking and having:
        raise InputError(
            f"{lacking.name}: no pretrained weights (there is no {weights_dir / lacking.name}.safetensors, "
            f"and the card has no tag of the hub), while {having.name} has some; put the file there, name "
            "its folder with --weights-dir, or train all from random weights with --weights none"
        )


def _numbers(text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise InputError(f"--shots {text}: should be numbers of images per class, as in 1,5,10")
    return sorted({int(part) for part in parts})


def quoted(text: str) -> str:
    """Text as a TOML basic string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in escaped) + '"'
