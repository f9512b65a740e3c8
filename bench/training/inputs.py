"""What a job is done on: images, labels and the network of its trial."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from bench.data import Dataset, draw_subset
from bench.data.augment import Pipeline
from bench.data.cache import stored_side
from bench.data.conditions import find_condition
from bench.data.streamed import Streamed, decoded_or_streamed
from bench.data.subsets import fold_of
from bench.errors import DataError, InputError
from bench.networks import Weights, make_model
from bench.networks.build import train_both_heads
from bench.planning.plan import Resolver
from bench.spec.card import Card
from bench.spec.job import CLEAN, TrainJob, Trial
from bench.training.group import ALONE, Group
from bench.training.images import Images
from bench.training.observer import Observer, Stopped
from bench.training.step import trained_form
from bench.training.teacher import Teacher

if TYPE_CHECKING:
    from bench.store.job_files import JobFiles

WHILE_CHOOSING = ("train", "val")


@dataclass
class Inputs:
    """A trial's dataset, subset, weights and network, on its device.

    Attributes:
        files: of the trial.
        scratch: files of the job in hand: the trial, or an evaluation of it.
        splits: whose images and labels the job in hand may use; no other can be reached from here.
        condition: under which images are looked at.
        teacher: makes the teacher of a trial that has one; raises Diverged where it has come to nothing.
        input_size: side of the network's input in px under this condition.
        positions: which images of the training split are used, int64 (n,).
        held_out: which of it stand in for val in a search job; None where val is val.
        group: makes the group of processes that train the network together.
    """

    job: TrainJob
    device: str
    files: "JobFiles"
    scratch: "JobFiles"
    splits: tuple[str, ...]
    observer: Observer
    card: Card
    weights: Weights
    dataset: Dataset
    positions: np.ndarray
    pipeline: Pipeline
    input_size: int
    condition: str = CLEAN
    teacher: Callable[[], Teacher] | None = None
    held_out: np.ndarray | None = None
    group: Callable[[], AbstractContextManager[Group]] = lambda: nullcontext(ALONE)
    _images: dict[str, Images] = field(default_factory=dict)

    @classmethod
    def open(
        cls,
        job: TrainJob,
        resolver: Resolver,
        device: str,
        files: "JobFiles",
        observer: Observer,
        *,
        scratch: "JobFiles | None" = None,
        splits: tuple[str, ...] = WHILE_CHOOSING,
        condition: str = CLEAN,
    ) -> "Inputs":
        """Draw the subset; dataset and weights are opened where the resolver has not done so yet.

        Raises:
            DataError, WeightsError: they are not here, or the data are others than those of the job.
        """
        trial, identity = job.trial, job.identity
        card, weights = resolver.weights(trial)
        dataset = resolver.dataset(trial)
        if dataset.fingerprint != identity["data"]:  # a worker opens it anew
            raise DataError(f"{trial.dataset}: was changed since it was planned; run the same command again")
        labels, draw = dataset.split_labels("train"), identity["draw_seed"] or 0
        augment, size = trial.recipe.augment, find_condition(condition).input_size(trial.input_size)
        positions = draw_subset(dataset.id_name, dataset.split_id, labels, identity["shots"], draw)
        held_out, search = None, identity.get("search", {})
        if "fold" in search:
            units = None if dataset.train_units is None else dataset.train_units[positions]
            kept, left = fold_of(labels[positions], search["fold"], search["folds"], draw, units)
            positions, held_out = positions[kept], positions[left]
        return cls(
            job=job,
            device=device,
            files=files,
            scratch=scratch or files,
            splits=splits,
            observer=observer,
            card=card,
            weights=weights,
            dataset=dataset,
            positions=positions,
            held_out=held_out,
            pipeline=Pipeline(augment, input_size=size, mean=card.mean, std=card.std),
            input_size=size,
            condition=condition,
        )

    @property
    def trial(self) -> Trial:
        """What the suite asks for."""
        return self.job.trial

    @property
    def outputs(self) -> int:
        """Width of the last layer."""
        return self.trial.recipe.head_outputs or len(self.dataset.class_names)

    @property
    def stored_side(self) -> int:
        """Side in px of the images as they are stored."""
        augment = self.trial.recipe.augment
        return stored_side(self.dataset, augment.stored_size(self.input_size), augment.resize)

    def require(self, split: str) -> None:
        """Raises ValueError where the job in hand is none of this split."""
        if split not in self.splits:
            raise ValueError(f"{split} is not opened here, only {', '.join(self.splits)}")

    def positions_of(self, split: str) -> np.ndarray:
        """Positions of the images in use: the subset for "train", all of them otherwise; those of "val" in
        the training split where they are `held_out` of it."""
        self.require(split)
        if split == "val" and self.held_out is not None:
            return self.held_out
        return self.positions if split == "train" else np.arange(len(self.dataset.splits[split]))

    def labels(self, split: str) -> np.ndarray:
        """Classes of the images in use."""
        return self.dataset.split_labels(self._split(split))[self.positions_of(split)]

    def groups(self, split: str) -> np.ndarray | None:
        """Groups of the images in use, int64 (n,); None where each image is one of its own."""
        if self.dataset.groups is None:
            return None
        return self.dataset.groups[self.dataset.splits[self._split(split)]][self.positions_of(split)]

    def _split(self, split: str) -> str:
        """The split of the dataset from which images are taken."""
        return "train" if split == "val" and self.held_out is not None else split

    def decode(self, split: str) -> np.ndarray | Streamed:
        """Images of a whole split as they are stored, decoded if they are not yet: see `decoded_or_streamed`.

        Raises:
            Stopped: the observer asked for it; what has been decoded is kept.
        """
        augment = self.trial.recipe.augment
        return decoded_or_streamed(
            self.dataset,
            split,
            size=augment.stored_size(self.input_size),
            resize=augment.resize,
            interpolation=augment.interpolation,
            progress=self._decoding(split),
        )

    def _decoding(self, split: str) -> Callable[[int, int], None]:
        def progress(done: int, total: int) -> None:
            self.observer.progress(f"decoding {split}", done, total)
            if self.observer.should_stop():
                raise Stopped

        return progress

    def images(self, split: str) -> Images:
        """Decoded images of a split that are in use; a GPU is given each split once."""
        if split not in self._images:
            self._images[split] = self.images_at(split, self.positions_of(split))
        return self._images[split]

    def images_at(self, split: str, positions: np.ndarray) -> Images:
        """Images of a split at some positions, int64 (n,), as they are stored or under the condition."""
        self.require(split)
        change = self._changed if find_condition(self.condition).changes_images else None
        return Images(self.decode(self._split(split)), positions, self.device, change)

    def _changed(self, images: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Images, as they are stored, at the size at which a network is shown them, and changed."""
        shown = self.pipeline.shown(torch.from_numpy(images)).numpy()
        return find_condition(self.condition).apply(shown, positions)

    def network(self) -> nn.Module:
        """The trial's network on its device, CNNs in channels_last layout.

        The head is new, unless the recipe asks for a width of its own and there are weights to keep it from.

        Raises:
            InputError: the recipe asks for another width than the weights' head has, or for a distillation
                token that the network does not have.
        """
        keep_head = self.trial.recipe.head_outputs is not None and self.weights.path is not None
        network = make_model(
            self.card,
            self.weights,
            classes=None if keep_head else self.outputs,
            input_size=self.input_size,
            drop_path=self.trial.recipe.drop_path,
            seed=self.job.identity["seed"] or 0,
        ).to(self.device)
        if network.num_classes != self.outputs:
            raise InputError(
                f'recipe "{self.trial.recipe.name}": head_outputs = {self.outputs}, '
                f"but the head of {self.card.name}'s weights has {network.num_classes}"
            )
        distill = self.trial.recipe.distill
        if distill is not None and distill.by == "token":
            train_both_heads(self.card, network)
        find_condition(self.condition).change_network(network)
        return trained_form(network, self.card.memory_format)
