"""Checkpoints: everything a trial needs to go on, in one safetensors file that is whole or absent.

The file says which run it is of, and holds a SHA-256 over all that is in it: one that was damaged, moved or
written by another version is noticed, and its trial begins anew.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import nn

from bench.errors import warn
from bench.files import write_bytes
from bench.networks.checkpoint import tie, untie

FORMAT = 2

Tensors = dict[str, torch.Tensor]


@dataclass
class Progress:
    """Where training stands, beside network and optimizer."""

    step: int = 0
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)
    loss_sum: float = 0.0
    loss_steps: int = 0
    best_val: float = -1.0
    best_step: int = 0
    row: dict[str, float] | None = None  # of the history, before val was looked at


class Unusable(Exception):
    """A checkpoint from which training cannot go on; the text says why."""


def save(
    path: Path,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
    best: Tensors | None,
) -> None:
    """Write a checkpoint whole; `path` lies in the folder of its run, whose name is the run's id.

    Raises:
        StoreError: it cannot be written.
    """
    tensors = {f"network.{name}": value for name, value in network.state_dict().items()}
    for number, state in optimizer.state_dict()["state"].items():
        tensors |= {
            f"optimizer.{number}.{name}": value for name, value in state.items() if torch.is_tensor(value)
        }
    tensors |= {f"best.{name}": value for name, value in (best or {}).items()}
    stored, tied = untie(tensors)
    about = {"format": FORMAT, "run": path.absolute().parent.name, "progress": vars(progress), "tied": tied}
    # Not-a-number stands in the history where val was not looked at.
    words = json.dumps(about, sort_keys=True)
    write_bytes(path, to_bytes(stored, {"vcbench": words, "sha256": _digest(words, stored)}))


def load(path: Path, network: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[Progress, Tensors | None]:
    """Put network and optimizer where the checkpoint at `path` left them; returns progress and best weights.

    Where there is none, or one that cannot be used (a warning says why), both are left as they are, and the
    progress is that of the beginning.
    """
    if not path.exists():
        return Progress(), None
    try:
        progress, tensors = _read(path)
        states = _optimizer_state(optimizer, _below("optimizer.", tensors))
        weights, best = _below("network.", tensors), _below("best.", tensors)
        for part in (weights, best or weights):
            _check_weights(part, network)
    except Unusable as problem:
        warn(f"{path}: {problem}; the trial begins anew")
        return Progress(), None
    network.load_state_dict(weights)
    optimizer.load_state_dict({"state": states, "param_groups": optimizer.state_dict()["param_groups"]})
    return progress, best or None


def weights_tag(network: nn.Module) -> str:
    """A checksum of a network's weights."""
    return _digest("", {name: value.cpu().contiguous() for name, value in network.state_dict().items()})


def keep_rows(path: Path, rows: list[torch.Tensor], tag: str) -> None:
    """Keep what was computed for the first images of a split when that was stopped; `tag` says of what."""
    tensors = {"rows": torch.cat(rows).contiguous()}
    write_bytes(path, to_bytes(tensors, {"tag": tag, "sha256": _digest(tag, tensors)}))


def kept_rows(path: Path, tag: str) -> list[torch.Tensor]:
    """What `keep_rows` kept with the same tag; nothing where there is none or it is damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata, tensors = file.metadata() or {}, {"rows": file.get_tensor("rows")}
    except (OSError, SafetensorError):
        return []
    same = metadata.get("tag") == tag and metadata.get("sha256") == _digest(tag, tensors)
    return [tensors["rows"]] if same else []


def _read(path: Path) -> tuple[Progress, Tensors]:
    """What a checkpoint holds, its checksum compared.

    Raises:
        Unusable: it cannot be read, or is not what was written for this run.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        words = metadata.get("vcbench", "")
        about: Any = json.loads(words)
    except (OSError, SafetensorError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise Unusable(f"the checkpoint is damaged ({reason})") from error
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise Unusable("the checkpoint is of another version")
    if metadata.get("sha256") != _digest(words, stored):
        raise Unusable("the checkpoint is damaged (it does not have its checksum)")
    if about.get("run") != path.absolute().parent.name:
        raise Unusable(f"the checkpoint is of another run, {about.get('run')}")
    return _progress(about.get("progress")), tie(stored, about.get("tied"))


def _progress(words: Any) -> Progress:
    """Progress from plain data.

    Raises:
        Unusable: something is missing, or has a value that training cannot have reached.
    """
    kinds = {entry.name: entry.type for entry in fields(Progress)}
    words = {"row": None} | words if isinstance(words, dict) else words
    if not isinstance(words, dict) or words.keys() != kinds.keys():
        raise Unusable("the checkpoint does not say how far training was")
    for name, kind in kinds.items():
        numeric = (int,) if kind is int else (int, float)
        expected = {"history": list, "row": (dict, type(None))}.get(name, numeric)
        if isinstance(words[name], bool) or not isinstance(words[name], expected):
            raise Unusable(f"the checkpoint has {words[name]!r} as its {name}")
    if min(words["step"], words["seconds"], words["loss_steps"], words["best_step"]) < 0:
        raise Unusable("the checkpoint has a negative count")
    if not math.isfinite(words["seconds"]):
        raise Unusable(f"the checkpoint has {words['seconds']} as its seconds")
    return Progress(**words)


def _check_weights(tensors: Tensors, network: nn.Module) -> None:
    """Raises Unusable where `tensors` are not those of `network` by name and shape."""
    wanted = network.state_dict()
    if tensors.keys() != wanted.keys() or any(
        tensors[name].shape != value.shape for name, value in wanted.items()
    ):
        raise Unusable("the checkpoint is of another network")


def _optimizer_state(optimizer: torch.optim.Optimizer, tensors: Tensors) -> dict[int, Tensors]:
    """The state of each parameter by its number.

    Raises:
        Unusable: there is no such parameter.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    states: dict[int, Tensors] = {}
    for name, value in tensors.items():
        number, _, key = name.partition(".")
        if not number.isdecimal() or int(number) >= len(parameters):
            raise Unusable("the checkpoint is of another optimizer")
        like = parameters[int(number)]
        if value.shape == like.shape:
            # Fused optimizers walk through memory: moments must lie as their parameter does (channels_last).
            value = torch.empty_like(like).copy_(value)
        states.setdefault(int(number), {})[key] = value
    return states


def _digest(words: str, tensors: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 of the words, and of name, type, shape and bytes of every tensor."""
    whole = hashlib.sha256(words.encode())
    for name in sorted(tensors):
        value = tensors[name]
        whole.update(f"\0{name}\0{value.dtype}\0{tuple(value.shape)}\0".encode())
        whole.update(value.reshape(-1).view(torch.uint8).numpy())
    return whole.hexdigest()


def _below(prefix: str, tensors: Tensors) -> Tensors:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
