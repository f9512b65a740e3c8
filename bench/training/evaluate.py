"""The outputs of a network for images, batch after batch; it may be stopped and continued."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import nn

from bench.data.augment import Pipeline
from bench.training.checkpoint import Unusable, checksum, read, write
from bench.training.images import Images
from bench.training.observer import Observer, Stopped
from bench.training.step import autocast, set_backends

# Images evaluated at once; a GPU would be idle for much of the time with as few as a processor likes.
EVALUATION_BATCH = {"cpu": 128, "cuda": 512, "mps": 512}


def predict(
    network: nn.Module,
    images: Images,
    pipeline: Pipeline,
    *,
    precision: str,
    phase: str,
    observer: Observer,
    forward: Callable[[torch.Tensor], torch.Tensor] | None = None,
    unfinished: Path | None = None,
) -> np.ndarray:
    """Logits of every image, float32, shape (len(images), outputs) or what `forward` gives for each.

    Args:
        forward: what to do instead of passing images through the network.
        unfinished: where what was done is kept when this is stopped, for the next call with the same weights.

    Raises:
        Stopped: the observer asked for it.
    """
    rows = _kept(unfinished, network)
    try:
        logits = forward_all(
            network,
            images,
            pipeline,
            precision=precision,
            phase=phase,
            observer=observer,
            forward=forward,
            rows=rows,
        )
    except Stopped:
        if unfinished is not None and rows:
            write(unfinished, {"weights": checksum(network.state_dict()), "rows": torch.cat(rows)})
        raise
    if unfinished is not None:
        unfinished.unlink(missing_ok=True)
    return logits


def both_heads(network: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """The logits of a network with a distillation token, and of its two heads: shape (n, 3, outputs)."""
    outputs: list[torch.Tensor] = []
    heads = [network.get_submodule(name) for name in ("head", "head_dist")]
    handles = [head.register_forward_hook(lambda *call: outputs.append(call[2])) for head in heads]
    try:
        together = network(images)
    finally:
        for handle in handles:
            handle.remove()
    return torch.stack([together, *outputs], 1)


def _kept(path: Path | None, network: nn.Module) -> list[torch.Tensor]:
    """The logits of the first images that a stopped call with the same weights has kept."""
    if path is None or not path.exists():
        return []
    try:
        content = read(path)
    except Unusable:
        return []
    return [content["rows"]] if content["weights"] == checksum(network.state_dict()) else []


def forward_all(
    network: nn.Module,
    images: Images,
    pipeline: Pipeline,
    *,
    precision: str,
    phase: str,
    observer: Observer,
    forward: Callable[[torch.Tensor], torch.Tensor] | None = None,
    rows: list[torch.Tensor] | None = None,
) -> np.ndarray:
    """What a network in evaluation mode makes of every image, float32, shape (len(images), width).

    Args:
        forward: the part of the network that is wanted; None is all of it.
        rows: of the first images, from an earlier call with the same arguments; more are added to them.

    Raises:
        Stopped: the observer asked for it, between two batches or two layers.
    """
    network.eval()
    forward = forward or network
    rows = [] if rows is None else rows
    first, size = sum(map(len, rows)), EVALUATION_BATCH[images.device]
    set_backends(images.device)
    began = time.perf_counter()
    with torch.inference_mode(), _stoppable(observer):
        for start in range(first, len(images), size):
            if observer.should_stop():
                raise Stopped
            indices = np.arange(start, min(start + size, len(images)))
            inputs = pipeline.evaluate(images.batch(indices))
            with autocast(precision, images.device):
                output = forward(inputs)
            rows.append(output.float().cpu())
            done = indices[-1] + 1
            rate = (done - first) / (time.perf_counter() - began)
            observer.progress(phase, int(done), len(images), images_per_s=rate)
    return torch.cat(rows).numpy()


@contextmanager
def _stoppable(observer: Observer) -> Iterator[None]:
    """Look between two layers as well whether to stop: a batch of a large network takes seconds."""

    def look(module: nn.Module, inputs: tuple) -> None:
        if observer.should_stop():
            raise Stopped

    handle = nn.modules.module.register_module_forward_pre_hook(look)
    try:
        yield
    finally:
        handle.remove()
