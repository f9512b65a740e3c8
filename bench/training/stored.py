"""Trained models on disk: written at the end of training, made again from what was written."""

import hashlib
from dataclasses import asdict, replace
from importlib import import_module
from pathlib import Path

import numpy as np
from torch import nn

from bench.data.conditions import find_condition
from bench.errors import StoreError, WeightsError, warn
from bench.files import read_json, read_regular, write_bytes, write_json
from bench.networks import make_model, resolve_weights
from bench.networks.weight_file import DamagedWeights, read_tensors, tensors_as_bytes
from bench.spec.card import Card
from bench.spec.recipe import Knn
from bench.training.frozen import Features, FrozenModel
from bench.training.inputs import Inputs
from bench.training.knn import NearestNeighbours
from bench.training.model import Model, Training
from bench.training.probe import LinearProbe
from bench.training.quantised import quantise
from bench.training.step import trained_form
from bench.training.train_network import NetworkModel

FORMAT = 2


def read_network(path: Path, card: Card, *, outputs: int, input_size: int) -> nn.Module:
    """The trained network of a weights file, at the size it was trained at or at another.

    Position embeddings are resampled as timm does.

    Args:
        outputs: width of its last layer.
        input_size: side in px of the images it is to take.

    Raises:
        WeightsError: the file is damaged or of another network.
        InputError: the network cannot be made for this size.
    """
    random = resolve_weights(card, "none", Path(), download=False)
    network = make_model(card, random, classes=outputs, input_size=input_size)
    tensors, wanted = read_tensors(path), network.state_dict()
    if any(name in wanted and value.shape != wanted[name].shape for name, value in tensors.items()):
        resample = getattr(import_module(type(network).__module__), "checkpoint_filter_fn", None)
        tensors = resample(tensors, network) if resample else tensors
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip()  # under a heading, one line a tensor
        raise WeightsError(f"{path}: does not fit {card.name} at {input_size} px: {first}") from error
    return network


def read_probe(path: Path) -> LinearProbe:
    """The fitted probe of a weights file.

    Raises:
        WeightsError: the file is damaged or not of a probe.
    """
    weight, bias = _arrays(path, "a probe", ("weight", "bias"))
    return LinearProbe(weight, bias)


def read_neighbours(path: Path, recipe: Knn, classes: int) -> NearestNeighbours:
    """The nearest neighbours of a weights file, which holds their features and labels.

    Args:
        classes: number of outputs.

    Raises:
        WeightsError: the file is damaged or not of nearest neighbours.
    """
    features, labels = _arrays(path, "nearest neighbours", ("features", "labels"))
    return NearestNeighbours.of(features, labels, classes, recipe)


def _arrays(path: Path, what: str, names: tuple[str, ...]) -> list[np.ndarray]:
    """The tensors of these names; with the class means they are all that the file holds."""
    tensors = read_tensors(path)
    if tensors.keys() - {"class_means"} != {*names}:
        raise WeightsError(f"{path}: not the weights of {what}, which are {' and '.join(names)}")
    return [tensors[name].numpy() for name in names]


def _read_frozen(inputs: Inputs) -> FrozenModel:
    path, recipe = inputs.files.weights, inputs.trial.recipe
    reader: LinearProbe | NearestNeighbours
    if recipe.knn is None:
        reader = read_probe(path)
    else:
        reader = read_neighbours(path, recipe.knn, inputs.outputs)
        reader = replace(reader, device=inputs.device, should_stop=inputs.observer.should_stop)
    means = read_tensors(path).get("class_means")
    return FrozenModel(reader, None if means is None else means.numpy(), Features(inputs))


def write_model(inputs: Inputs, model: Model, training: Training) -> Training:
    """Store the weights, and then, that training has ended and what it came to, which is returned.

    Raises:
        StoreError: they cannot be written.
    """
    weights = tensors_as_bytes(model.tensors())
    training = replace(training, weights_sha256=_sha256(weights))
    write_bytes(inputs.files.weights, weights)
    write_json(inputs.files.training, {"format": FORMAT, "training": asdict(training)})
    return training


def read_model(inputs: Inputs, sha256: str | None) -> Model:
    """The model of a trial from its stored weights; of those without a checksum, None, any are taken.

    Raises:
        DamagedWeights: they are not there, do not have this checksum, or are no safetensors file.
        WeightsError: they cannot be read, or do not fit.
    """
    files = inputs.files
    try:
        if sha256 not in (None, _sha256(read_regular(files.weights))):
            raise DamagedWeights(f"{files.weights}: damaged, as it does not have its checksum")
    except FileNotFoundError as error:
        raise DamagedWeights(f"{files.weights}: not there") from error
    except OSError as error:
        raise WeightsError(f"{files.weights}: cannot be read ({error.strerror})") from error
    if inputs.trial.recipe.frozen:
        return _read_frozen(inputs)
    network = read_network(files.weights, inputs.card, outputs=inputs.outputs, input_size=inputs.input_size)
    condition = find_condition(inputs.condition)
    if condition.runtime is not None:
        return quantise(network, inputs, condition.runtime)
    condition.change_network(network)
    return NetworkModel(trained_form(network.to(inputs.device), inputs.card.memory_format), inputs)


def read_trained(inputs: Inputs) -> tuple[Model, Training] | None:
    """Model and training of an unfinished trial that has been trained to its end; None where it has not.

    One that is damaged is named in a warning.
    """
    path = inputs.files.training
    if not path.exists():
        return None
    try:
        content = read_json(path)
        if content["format"] != FORMAT:
            raise StoreError("another version wrote it")
        training = Training(**content["training"])
        model = read_model(inputs, training.weights_sha256)
    except (StoreError, WeightsError, KeyError, TypeError) as error:
        warn(f"{path}: damaged ({' '.join(str(error).split())}); it is trained again")
        return None
    return model, replace(training, earlier_seconds=training.seconds)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
