"""The data sets of the study, written as folders of PNG files from data sets that are here."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from bench.data import Dataset, open_dataset

# The superclasses of CIFAR-100 and their classes: https://www.cs.toronto.edu/~kriz/cifar.html
SUPERCLASSES = {
    "aquatic_mammals": "beaver dolphin otter seal whale",
    "fish": "aquarium_fish flatfish ray shark trout",
    "flowers": "orchid poppy rose sunflower tulip",
    "food_containers": "bottle bowl can cup plate",
    "fruit_and_vegetables": "apple mushroom orange pear sweet_pepper",
    "household_electrical_devices": "clock keyboard lamp telephone television",
    "household_furniture": "bed chair couch table wardrobe",
    "insects": "bee beetle butterfly caterpillar cockroach",
    "large_carnivores": "bear leopard lion tiger wolf",
    "large_man-made_outdoor_things": "bridge castle house road skyscraper",
    "large_natural_outdoor_scenes": "cloud forest mountain plain sea",
    "large_omnivores_and_herbivores": "camel cattle chimpanzee elephant kangaroo",
    "medium_mammals": "fox porcupine possum raccoon skunk",
    "non-insect_invertebrates": "crab lobster snail spider worm",
    "people": "baby boy girl man woman",
    "reptiles": "crocodile dinosaur lizard snake turtle",
    "small_mammals": "hamster mouse rabbit shrew squirrel",
    "trees": "maple_tree oak_tree palm_tree pine_tree willow_tree",
    "vehicles_1": "bicycle bus motorcycle pickup_truck train",
    "vehicles_2": "lawn_mower rocket streetcar tank tractor",
}


@dataclass(frozen=True)
class Task:
    """A data set of the study.

    Attributes:
        source: the data set that its images are from.
        classes: from the source's classes to those of the task; None takes them as they are.
        train, val, test: images of each class.
    """

    name: str
    source: str
    classes: dict[str, str] | None
    train: int
    val: int
    test: int


def tasks() -> list[Task]:
    """All of them, the most different first."""
    groups = {name: words.split() for name, words in SUPERCLASSES.items()}
    coarse = {word: name for name, words in groups.items() for word in words}
    own = [
        Task(f"cifar-{name}", "cifar100", {word: word for word in words}, 40, 20, 100)
        for name, words in groups.items()
    ]
    return [
        Task("flowers-102", "flowers102", None, 5, 5, 10),
        Task("sklearn-digits", "digits", None, 20, 20, 36),
        Task("cifar-20-superclasses", "cifar100", coarse, 20, 10, 50),
        Task("cifar-100-classes", "cifar100", None, 5, 5, 10),
        *own,
    ]


def write(task: Task, folder: Path, data_dir: Path) -> Path:
    """The images of a task as folder/NAME/{train,val,test}/CLASS/*.png, made where they are not there yet."""
    whole = folder / task.name
    if whole.is_dir():
        return whole
    dataset = open_dataset(task.source, None, data_dir)
    part = whole.with_name(f".{task.name}")
    shutil.rmtree(part, ignore_errors=True)
    for split, label, positions in _chosen(task, dataset):
        target = part / split / label
        target.mkdir(parents=True, exist_ok=True)
        for position in positions:
            Image.fromarray(dataset.read(int(position))).save(target / f"{position}.png")
    part.rename(whole)
    return whole


def _chosen(task: Task, dataset: Dataset) -> Iterator[tuple[str, str, np.ndarray]]:
    """Positions of the images of each split and class, each split from the source's own."""
    random = np.random.default_rng(0)
    names = task.classes or {name: name for name in dataset.class_names}
    wanted = {"train": task.train, "val": task.val, "test": task.test}
    for split, count in wanted.items():
        for label in dict.fromkeys(names.values()):
            numbers = [dataset.class_names.index(name) for name, own in names.items() if own == label]
            positions = dataset.splits[split]
            own = positions[np.isin(dataset.labels[positions], numbers)]
            yield split, label, np.sort(random.choice(own, min(count, len(own)), replace=False))
