"""Trained models on disk: written at the end of training, made again from what was written."""

import hashlib
from dataclasses import asdict, replace
from importlib import import_module
from pathlib import Path

from torch import nn

from bench.errors import StoreError, WeightsError, warn
from bench.files import read_json, write_bytes, write_json
from bench.networks import make_model, resolve_weights
from bench.networks.weight_file import read_tensors, tensors_as_bytes
from bench.spec.card import Card
from bench.training.inputs import Inputs
from bench.training.model import Model, Training
from bench.training.probe import LinearProbe
from bench.training.probe_features import Features, ProbeModel
from bench.training.step import trained_form
from bench.training.train_network import NetworkModel

FORMAT = 1


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
    tensors = read_tensors(path)
    if tensors.keys() != {"weight", "bias"}:
        raise WeightsError(f"{path}: not the weights of a probe, which are weight and bias")
    return LinearProbe(tensors["weight"].numpy(), tensors["bias"].numpy())


def write_model(inputs: Inputs, model: Model, training: Training) -> None:
    """Store the weights, and then, that training has ended and what it came to.

    Raises:
        StoreError: they cannot be written.
    """
    weights = tensors_as_bytes(model.tensors())
    write_bytes(inputs.files.weights, weights)
    content = {"format": FORMAT, "sha256": _sha256(weights), "training": asdict(training)}
    write_json(inputs.files.training, content)


def read_model(inputs: Inputs) -> tuple[Model, Training] | None:
    """The model of a trial whose training has ended; None where it has not, or where that is damaged."""
    files = inputs.files
    if not files.training.exists():
        return None
    try:
        content = read_json(files.training)
        if content["format"] != FORMAT or content["sha256"] != _sha256(files.weights.read_bytes()):
            raise StoreError("the weights do not have their checksum")
        training = Training(**content["training"])
        if inputs.trial.recipe.probe is not None:
            model: Model = ProbeModel(read_probe(files.weights), Features(inputs))
        else:
            network = read_network(
                files.weights, inputs.card, outputs=inputs.outputs, input_size=inputs.trial.input_size
            )
            model = NetworkModel(trained_form(network.to(inputs.device), inputs.card.memory_format), inputs)
    except (StoreError, WeightsError, OSError, KeyError, TypeError) as error:
        warn(f"{files.training}: damaged ({' '.join(str(error).split())}); it is trained again")
        return None
    return model, replace(training, earlier_seconds=training.seconds)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
