"""Weights from a safetensors file into a network, checked tensor by tensor."""

import json
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from timm.models import model_entrypoint
from torch import Tensor, nn

from bench.errors import WeightsError
from bench.spec.card import Card

Tensors = dict[str, Tensor]


def untie(tensors: Mapping[str, Tensor]) -> tuple[Tensors, dict[str, str]]:
    """Tensors as safetensors takes them, which has no two names for one storage.

    Returns:
        The tensors on the CPU, contiguous, each storage once; and for every further name of the same values
        the name under which they are stored.
    """
    stored: Tensors = {}
    tied: dict[str, str] = {}
    names: dict[tuple, str] = {}
    storages: set[tuple] = set()
    for name, tensor in tensors.items():
        tensor = tensor.detach()
        storage = (tensor.device, tensor.untyped_storage().data_ptr())
        same = (*storage, tensor.storage_offset(), tensor.shape, tensor.stride(), tensor.dtype)
        if tensor.numel() and same in names:
            tied[name] = names[same]
            continue
        names[same] = name
        stored[name] = tensor.cpu().contiguous()
        if storage in storages and stored[name].untyped_storage().data_ptr() == storage[1]:
            stored[name] = stored[name].clone()  # another part of a storage that is there already
        storages.add(storage)
    return stored, tied


def tie(stored: Tensors, tied: Any) -> Tensors:
    """Undo `untie`: every name with its tensor. Names that `stored` does not have are passed over."""
    pairs = tied.items() if isinstance(tied, dict) else ()
    return stored | {name: stored[kept] for name, kept in pairs if kept in stored and name not in stored}


def tensors_as_bytes(tensors: Mapping[str, Tensor]) -> bytes:
    """A safetensors file; names that share a storage are listed as "tied" in its metadata."""
    stored, tied = untie(tensors)
    return save(stored, {"tied": json.dumps(tied, sort_keys=True)} if tied else None)


def read_tensors(path: Path) -> Tensors:
    """All tensors of a safetensors file, on the CPU.

    Raises:
        WeightsError: the file cannot be read, is cut short, is of another format or holds no numbers.
    """
    try:
        tensors = load_file(path, device="cpu")
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        tensors = tie(tensors, json.loads(metadata.get("tied", "{}")))
    except ValueError as error:
        raise WeightsError(
            f"{path}: damaged (its list of tied tensors is not JSON); fetch it again"
        ) from error
    except SafetensorError as error:
        raise WeightsError(f"{path}: not a whole safetensors file ({error}); fetch it again") from error
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error})") from error
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise WeightsError(
                f'{path}: tensor "{name}" holds values that are not finite; fetch the file again'
            )
    return tensors


def head_tensors(network: nn.Module, names: Collection[str]) -> set[str]:
    """Those of `names` that belong to the classifier of a network made by timm, or its classifiers."""
    classifiers = network.pretrained_cfg.get("classifier") or ()
    heads = (classifiers,) if isinstance(classifiers, str) else classifiers
    return {name for name in names if any(name.startswith(f"{head}.") for head in heads)}


def check_tensors(
    card: Card, path: Path, tensors: Mapping[str, Tensor], native: nn.Module, *, head: bool
) -> None:
    """Compare a file's tensors with those of the network as the card describes it, made at its own size.

    The head counts only if `head`. For a model without a card, whose file may use its authors' names, only
    the shapes of tensors with the same name are compared.

    Raises:
        WeightsError: names the first tensor that is missing, of another shape or unexpected, and the file.
    """
    wanted = native.state_dict()
    ignored = set() if head else head_tensors(native, {*wanted, *tensors})
    for name, want in wanted.items():
        if name in ignored:
            continue
        if name in tensors:
            have, need = tuple(tensors[name].shape), tuple(want.shape)
            if have != need:
                raise WeightsError(f'{path}: tensor "{name}" has shape {have}, {card.name} needs {need}')
        elif card.carded and not _can_be_absent(name):
            shape = tuple(want.shape)
            raise WeightsError(f'{path}: tensor "{name}" is missing, {card.name} needs it with shape {shape}')
    for name, have in tensors.items():
        if card.carded and name not in wanted and name not in ignored:
            raise WeightsError(f'{path}: tensor "{name}" of shape {tuple(have.shape)} is not in {card.name}')


def load_tensors(card: Card, path: Path, tensors: Tensors, network: nn.Module, *, head: bool) -> None:
    """Copy a file's tensors into a network, converted as timm does (position embeddings to its input size).

    The network's own head stays unless `head`.

    Raises:
        WeightsError: the network has a tensor that the file does not fill, or the other way round.
    """
    convert = getattr(
        sys.modules[model_entrypoint(card.architecture).__module__], "checkpoint_filter_fn", None
    )
    converted = convert(tensors, network) if convert else tensors
    kept = set() if head else head_tensors(network, {*network.state_dict(), *converted})
    try:
        result = network.load_state_dict({k: v for k, v in converted.items() if k not in kept}, strict=False)
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip()  # under a heading, one line a tensor
        raise WeightsError(f"{path}: does not fit {card.name} at this input size: {first}") from error
    missing = [name for name in result.missing_keys if name not in kept]
    for name in missing + result.unexpected_keys:
        what = "is missing" if name in missing else f"is not in {card.name}"
        raise WeightsError(f'{path}: tensor "{name}" {what}')


def _can_be_absent(name: str) -> bool:
    """Batch normalisation counts its batches itself; files from other frameworks lack the counter."""
    return name.endswith(".num_batches_tracked")
