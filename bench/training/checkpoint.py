"""Checkpoints: everything a trial needs to go on, in one safetensors file that is whole or absent."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import nn

from bench.errors import StoreError
from bench.files import write_bytes

FORMAT = 1


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


def save(
    path: Path,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
    best: dict[str, torch.Tensor] | None,
) -> None:
    """Write a checkpoint whole.

    Raises:
        StoreError: it cannot be written.
    """
    tensors = {f"network.{name}": value for name, value in network.state_dict().items()}
    for number, state in optimizer.state_dict()["state"].items():
        tensors |= {
            f"optimizer.{number}.{name}": value for name, value in state.items() if torch.is_tensor(value)
        }
    tensors |= {f"best.{name}": value for name, value in (best or {}).items()}
    words = {"format": FORMAT, "progress": vars(progress)}
    tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    write_bytes(path, to_bytes(tensors, {"vcbench": json.dumps(words)}))


def load(
    path: Path, network: nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[Progress, dict[str, torch.Tensor] | None]:
    """Put network and optimizer where the checkpoint left them; returns the progress and the best weights.

    Raises:
        StoreError: the file cannot be read, or another version wrote it.
    """
    try:
        with safe_open(path, framework="pt") as file:
            words: dict[str, Any] = json.loads((file.metadata() or {}).get("vcbench", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (OSError, SafetensorError) as error:
        raise StoreError(
            f"{path}: checkpoint cannot be read ({error}); remove it to begin that trial anew"
        ) from error
    if words.get("format") != FORMAT:
        raise StoreError(f"{path}: checkpoint of another version; remove it to begin that trial anew")
    network.load_state_dict(_below("network.", tensors))
    state: dict[int, dict[str, torch.Tensor]] = {}
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for name, value in _below("optimizer.", tensors).items():
        number, _, key = name.partition(".")
        like = parameters[int(number)]
        if value.shape == like.shape:
            # Fused optimizers walk through memory: moments must lie as their parameter does (channels_last).
            value = torch.empty_like(like).copy_(value)
        state.setdefault(int(number), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return Progress(**words["progress"]), _below("best.", tensors) or None


def _below(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
