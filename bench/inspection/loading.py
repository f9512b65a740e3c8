"""The network to look into: a card, a model of timm, or a run of a store with its stored weights."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from PIL import Image
from torch import Tensor, nn

from bench.data import Dataset, open_dataset
from bench.data.augment import Pipeline
from bench.data.cache import stored_side
from bench.data.square import fit
from bench.errors import InputError, WeightsError
from bench.files import slug
from bench.inspection.probed import UnitLengthLinear, with_probe
from bench.networks import find_card, make_model, resolve_weights
from bench.spec.card import Card, list_cards
from bench.spec.recipe import Augment, Recipe
from bench.spec.toml import parse
from bench.store.job_files import JobFiles
from bench.store.lookup import (
    FOLDERS,
    find,
    in_suites,
    own_images,
    record_of,
    require_one_network,
    run_command,
)
from bench.store.records.trials import TrialRecord
from bench.store.run_store import RunStore
from bench.training.stored import read_network, read_probe

RANDOM = "RANDOM WEIGHTS"
IMAGENET = 1000  # outputs of a network that was never trained


@dataclass(frozen=True)
class Loaded:
    """A network in evaluation mode with what it needs to be shown an image.

    Attributes:
        name: short, for file names.
        title: for display; says so where the weights are random.
        weights: where they come from, in words.
        size: side of the images in px.
        augment: how images are made ready; its random parts are not used.
        stored_side: side in px at which images are stored first, as `bench.data.cache.stored_side` of the
            images that the network was trained on, or is shown.
        classes: names of the outputs; those of a pretrained head that are of no class have numbers.
        dataset: of a run, what it was trained on: its name, of one's own images "folder:PATH" as it was when
            they were trained on, its split id and its fingerprint.
        run: its id, of a run.
        began: the weights that its training began with: "none", "card" or "file:PATH"; of a model its own.
    """

    name: str
    title: str
    card: Card
    network: Any
    weights: str
    size: int
    augment: Augment
    stored_side: int
    classes: Sequence[str]
    device: str
    dataset: tuple[str, str, str] | None = None
    run: str = ""
    began: str = "none"

    @cached_property
    def pipeline(self) -> Pipeline:
        """Makes network input of stored images."""
        return Pipeline(self.augment, input_size=self.size, mean=self.card.mean, std=self.card.std)

    @property
    def is_random(self) -> bool:
        """Whether the weights were never trained."""
        return RANDOM in self.title

    @property
    def is_probe(self) -> bool:
        """Whether its last layer is a linear probe, which reads features of unit length."""
        return any(isinstance(module, UnitLengthLinear) for module in self.network.modules())

    def stored(self, pixels: np.ndarray) -> Tensor:
        """Pixels uint8 (h, w, 3) as training stores them: uint8 (1, s, s, 3), s the `stored_side`."""
        augment = self.augment
        fitted = fit(Image.fromarray(pixels), self.stored_side, augment.resize, augment.interpolation)
        return torch.tensor(np.asarray(fitted))[None]

    def input(self, pixels: np.ndarray) -> Tensor:
        """Network input of pixels uint8 (h, w, 3): float32 (1, 3, size, size), normalised."""
        return self.pipeline.evaluate(self.stored(pixels)).to(self.device)

    def inputs(self, images: Sequence[np.ndarray]) -> Tensor:
        """Of several images, (n, 3, size, size)."""
        return torch.cat([self.input(one) for one in images])

    def shown(self, pixels: np.ndarray) -> np.ndarray:
        """What the network is shown, before it is normalised: uint8 (size, size, 3)."""
        return self.pipeline.shown(self.stored(pixels))[0].numpy()

    def colours(self, images: Tensor) -> Tensor:
        """Network input as levels 0..1 again, (..., 3, h, w)."""
        mean, std = (values.view(3, 1, 1) for values in (self.pipeline.mean, self.pipeline.std))
        return (images.cpu() * std + mean).clamp(0, 1)

    def class_named(self, text: str) -> int:
        """A class by its name, or else by its number.

        Raises:
            InputError: there is none, or two have the name.
        """
        matches = [k for k, name in enumerate(self.classes) if text.lower() == name.lower()]
        if len(matches) > 1:
            numbers = " and ".join(map(str, matches))
            raise InputError(
                f"--class {text}: {self.title} has several of this name; give a number: {numbers}"
            )
        if matches:
            return matches[0]
        if text.isdecimal() and int(text) < len(self.classes):
            return int(text)
        raise InputError(
            f"--class {text}: {self.title} has no such class; give a name, or 0 to {len(self.classes) - 1}"
        )


def load(
    text: str,
    *,
    weights: str | None,
    weights_dir: Path,
    results: Path,
    data_dir: Path | None = None,
    shown: Dataset | None = None,
    device: str = "cpu",
    input_size: int | None = None,
) -> Loaded:
    """The network of a card, of a model of timm, or of a run by its id.

    Args:
        weights: "card", "none" or "file:PATH"; None is "card" where there are pretrained weights, else
            "none". A run has its own.
        results: the run store.
        data_dir: the folder of the downloaded datasets. It is needed of runs alone whose record does not say
            how their images were stored.
        shown: the images that the network of a card will be shown; None is images of any size.
        input_size: side of the images in px; None is the model's own.

    Raises:
        InputError: neither a model nor a run; a run that is no trained network or diverged, or whose images
            it takes to tell how they were stored.
        DataError: these are not here.
        WeightsError: the weights are not here.
    """
    named = text in list_cards() or timm.is_model(text.partition(".")[0])
    store = RunStore(results)
    if not named and store.if_there() is not None and text.isalnum():
        return _of_run(store, text, weights_dir, data_dir, device, input_size)
    card = find_card(text)
    asked = weights or ("none" if card.pretraining == "none" else "card")
    resolved = resolve_weights(card, asked, weights_dir, download=True)
    size = input_size or card.input_size
    random = resolved.path is None
    classes = IMAGENET if random else None
    network: Any = make_model(card, resolved, classes=classes, input_size=size).eval().to(device)
    if not network.num_classes:
        raise InputError(f"{card.name}: its weights have no classifier; take another tag, or --weights none")
    title = card.title + (f", {RANDOM}" if random else "")
    augment = Augment()
    stored = augment.stored_size(size)
    return Loaded(
        name=slug(card.name),
        title=title if size == card.input_size else f"{title}, at {size} px",
        card=card,
        network=network,
        weights="random, never trained" if random else f"{card.pretraining}: {resolved.source}",
        size=size,
        augment=augment,
        stored_side=stored if shown is None else stored_side(shown, stored, augment.resize),
        classes=_imagenet(network) if not random else _numbers(network.num_classes),
        device=device,
        began=asked,
    )


def _of_run(
    store: RunStore, text: str, weights_dir: Path, data_dir: Path | None, device: str, input_size: int | None
) -> Loaded:
    entry = find(store, text)
    record = record_of(store, entry)
    if entry.kind not in ("trial", "search") or not isinstance(record, TrialRecord):
        raise InputError(f"{store.root}: {entry.id} is no finished run; take a run of vcbench tables")
    require_one_network(record)
    if record.outcome == "diverged":
        raise InputError(f"{record.id}: diverged ({record.reason}); take another run of {record.model.name}")
    recipe = parse(
        record.identity.recipe | {"name": record.recipe, "title": record.recipe, "expected": "as stored"}
        | {"protocol": record.protocol},
        Recipe,
        where=f"{record.id}: recipe",
    )  # fmt: skip
    if recipe.knn is not None:
        raise InputError(
            f"{record.id}: nearest neighbours are no layer of a network; take a run of another recipe, or "
            f"{record.model.name} itself"
        )
    path = JobFiles(store.folder_of(FOLDERS[entry.kind], record.id)).weights
    if not path.exists():
        raise InputError(f"{record.id}: its weights were not kept; {_again(store, record)}")
    card = find_card(record.model.name)
    size = input_size or record.identity.input_size
    outputs = recipe.head_outputs or record.data.classes
    if recipe.frozen:
        network = _probed(record, card, path, weights_dir, outputs, size)
    else:
        network = read_network(path, card, outputs=outputs, input_size=size)
    names = store.class_names(record.data) or []
    dataset = (own_images(store, record.id) or record.data.dataset, *record.data.key[1:])
    return Loaded(
        name=slug(f"{card.name}-{record.id[:6]}"),
        title=f"{card.title}, run {record.id[:6]} on {record.data.dataset}",
        card=card,
        network=network.eval().to(device),
        weights=f"run {record.id}: {record.data.train_images} images of {record.data.dataset}, "
        f"recipe {record.recipe}",
        size=size,
        augment=recipe.augment,
        stored_side=_stored_side(record, dataset, recipe.augment, size, data_dir, store.root),
        classes=[*names, *_numbers(outputs)[len(names) :]],
        device=device,
        dataset=dataset,
        run=record.id,
        began=record.model.weights or ("none" if record.identity.weights == "none" else "card"),
    )


def _probed(
    record: TrialRecord, card: Card, path: Path, weights_dir: Path, outputs: int, size: int
) -> nn.Module:
    """The pretrained network of a linear probe, with the probe as its last layer.

    Raises:
        InputError: the network has no such layer.
        WeightsError: the pretrained weights are not here, or are not those of the run.
    """
    pretrained = resolve_weights(card, record.model.weights or "card", weights_dir, download=True)
    if pretrained.fingerprint != record.identity.weights:
        raise WeightsError(
            f"{record.id}: its features are of other weights of {card.name} than {pretrained.source}"
        )
    network = make_model(card, pretrained, classes=outputs, input_size=size)
    return with_probe(network, read_probe(path), name=card.name, size=size)


def _stored_side(
    record: TrialRecord,
    dataset: tuple[str, str, str],
    augment: Augment,
    size: int,
    data_dir: Path | None,
    store: Path,
) -> int:
    """The side in px at which the images of a run are stored for an input of `size` px.

    Raises:
        InputError, DataError: the record does not say, and the run's images are not here.
    """
    stored = augment.stored_size(size)
    if (recorded := record.stored_side) is not None:
        # Images that were kept small are so at every size.
        small = recorded < augment.stored_size(record.identity.input_size)
        return min(recorded, stored) if small else stored
    name, split_id, fingerprint = dataset
    missing = f"{record.id}: how its images were stored, its record does not say, and takes the images: "
    if data_dir is None:
        raise InputError(f"{missing}--data-dir")
    opened = open_dataset(name, split_id, data_dir, store=store)
    if opened.fingerprint != fingerprint:
        raise InputError(f"{missing}those of {name} here are others")
    return stored_side(opened, stored, augment.resize)


def _again(store: RunStore, record: TrialRecord) -> str:
    """The command that trains a run again and keeps its weights."""
    listed = in_suites(store, record.id)
    if not listed:
        return "no suite of the store has it: train it again with keep_weights = true"
    suite = store.suites()[listed[0]["suite"]]
    return (
        f"make them again with: {run_command(suite, store.root)} --set keep_weights=true "
        f"--only {shlex.quote(listed[0]['contestant'])} --results kept"
    )


def _numbers(count: int) -> list[str]:
    return [f"class {k}" for k in range(count)]


def _imagenet(network: Any) -> list[str]:
    """The names of ImageNet's classes, the first of each class's words, where there are as many outputs."""
    subset = timm.data.infer_imagenet_subset(network)
    if subset is None:
        return _numbers(network.num_classes)
    return [name.partition(",")[0] for name in timm.data.ImageNetInfo(subset).label_descriptions()]
