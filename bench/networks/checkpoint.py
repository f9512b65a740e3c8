"""Our own safetensors files of weights, in which a storage with two names lies once."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from bench.errors import WeightsError

Tensors = dict[str, Tensor]


def untie(tensors: Mapping[str, Tensor]) -> tuple[Tensors, dict[str, str]]:
    """Tensors as safetensors takes them, which has no two names for one storage.

    Returns:
        The tensors on the CPU, contiguous, each storage once; and for every further name of the same values
        the name under which they are stored.
    """
    stored: Tensors = {}
    tied: dict[str, str] = {}
    names: dict[tuple[Any, ...], str] = {}
    storages: set[tuple[Any, ...]] = set()
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
