"""Checkpoints: everything training needs to go on, in one file that is whole or absent.

Such a file is a line with the SHA-256 of what follows, which is a dictionary as `torch.save` writes it. One
that was damaged, moved or written by another version is noticed, and its trial begins anew.
"""

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.errors import first_line, shortened, warn
from bench.files import read_regular, write_bytes

FORMAT = 3

Tensors = dict[str, Tensor]


@dataclass
class Progress:
    """How far training is, beside network and optimizer."""

    step: int = 0
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)
    loss_sum: float = 0.0
    loss_steps: int = 0
    best_val: float = -1.0
    best_step: int = 0
    row: dict[str, float] | None = None  # of the history, before val was looked at


class Unusable(Exception):
    """A file from which nothing can go on; the text says why."""


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
    content = {
        "format": FORMAT,
        "run": _run_of(path),
        "progress": vars(progress),
        "network": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "best": best,
    }
    write(path, content)


def load(path: Path, network: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[Progress, Tensors | None]:
    """Put network and optimizer where the checkpoint at `path` left them; returns progress and best weights.

    Where there is none, or one that cannot be used (a warning says why), both are left as they are, and the
    progress is that of a beginning.
    """
    if not path.exists():
        return Progress(), None
    try:
        content = read(path)
        _check(content, path, network)
    except Unusable as problem:
        warn(f"{path}: {problem}; the trial begins anew")
        return Progress(), None
    network.load_state_dict(content["network"])
    optimizer.load_state_dict(content["optimizer"])
    return Progress(**content["progress"]), content["best"]


def write(path: Path, content: dict[str, Any]) -> None:
    """Write tensors and plain data with their checksum.

    Raises:
        StoreError: it cannot be written.
    """
    file = io.BytesIO()
    torch.save(content, file)
    saved = file.getvalue()
    write_bytes(path, hashlib.sha256(saved).hexdigest().encode() + b"\n" + saved)


def read(path: Path) -> dict[str, Any]:
    """What `write` wrote, on the CPU.

    Raises:
        Unusable: it is damaged.
    """
    try:
        expected, _, saved = read_regular(path).partition(b"\n")
    except OSError as error:
        raise Unusable(f"the checkpoint cannot be read ({error.strerror})") from error
    if hashlib.sha256(saved).hexdigest().encode() != expected:
        raise Unusable("the checkpoint is damaged (it does not have its checksum)")
    try:
        return torch.load(io.BytesIO(saved), map_location="cpu", weights_only=True)
    # A forged one makes torch's reader raise anything, though never run anything.
    except Exception as error:
        raise Unusable(f"the checkpoint cannot be read ({shortened(first_line(error))})") from error


def checksum(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of name, type, shape and values of every tensor."""
    whole = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name].detach().cpu().contiguous()
        whole.update(f"\0{name}\0{value.dtype}\0{tuple(value.shape)}\0".encode())
        whole.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return whole.hexdigest()


def _check(content: Any, path: Path, network: nn.Module) -> None:
    """Raises Unusable where this is no checkpoint of the run in whose folder it lies, or of its network."""
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise Unusable("the checkpoint is of another version")
    if content.get("run") != _run_of(path):
        raise Unusable(f"the checkpoint is of another run, {content.get('run')}")
    wanted = _shapes(network.state_dict())
    if any(_shapes(weights) != wanted for weights in (content["network"], content["best"]) if weights):
        raise Unusable("the checkpoint is of another network")


def _run_of(path: Path) -> str:
    return path.absolute().parent.name


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in tensors.items()}
