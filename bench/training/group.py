"""Processes that train one network together, each on a share of every batch (data parallel)."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from bench.errors import InputError, TrialError

# How long they may take to start, which is to import PyTorch.
MEETING_SECONDS = 600.0
# The others wait while the first one looks at val or writes a checkpoint.
PATIENCE = timedelta(hours=12)


@dataclass(frozen=True)
class Group:
    """One process's place among them. The first keeps checkpoints, looks at val and decides when to stop.

    Attributes:
        decisions: the processes' own means of telling each other what is not on a GPU.
    """

    rank: int = 0
    size: int = 1
    decisions: Any = None

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that reports and stores."""
        return self.rank == 0

    def share(self, count: int) -> slice:
        """The part of a batch that is this process's; shares differ by at most one image."""
        bounds = [count * rank // self.size for rank in (self.rank, self.rank + 1)]
        return slice(*bounds)

    def wrap(self, network: nn.Module) -> nn.Module:
        """The network, whose gradients become those of the whole batch, and so its batch statistics.

        Raises:
            InputError: batch normalisation on a CPU, where statistics cannot be joined.
        """
        if self.size == 1:
            return network
        from timm.layers import convert_sync_batchnorm  # timm takes seconds to import
        from torch.nn.parallel import DistributedDataParallel

        device = next(network.parameters()).device.type
        if any(isinstance(module, _BatchNorm) for module in network.modules()):
            if device == "cpu":
                raise InputError("--gpus-per-trial: networks with batch normalisation need GPUs for that")
            convert: Callable[[nn.Module], nn.Module] = convert_sync_batchnorm
            convert(network)  # in place; names and values stay as they are
        return DistributedDataParallel(network)

    def apart(self, network: Any) -> AbstractContextManager[None]:
        """Within it gradients of a wrapped network add up in each process, and are not averaged yet."""
        if self.size == 1:
            return nullcontext()
        no_sync: AbstractContextManager[None] = network.no_sync()
        return no_sync

    def mean(self, value: Tensor) -> Tensor:
        """The mean over the processes."""
        if self.size > 1:
            value = value / self.size
            dist.all_reduce(value)
        return value

    def decide(self, wanted: bool) -> bool:
        """What the first process wants, known to all."""
        if self.size == 1:
            return wanted
        answer = torch.tensor([wanted], dtype=torch.uint8)
        dist.broadcast(answer, src=0, group=self.decisions)
        return bool(answer.item())


ALONE = Group()


def meeting_place(port: int | None = None) -> dist.TCPStore:
    """Where the processes of a group find each other: the first one's, or that at its port, for another."""
    return dist.TCPStore("127.0.0.1", port or 0, is_master=port is None, wait_for_workers=False)


@contextmanager
def joined(
    rank: int, size: int, device: str, store: dist.TCPStore, check: Callable[[], None] = lambda: None
) -> Iterator[Group]:
    """Be one of the processes of a group on this machine.

    Args:
        store: where they meet; see `meeting_place`.
        check: called while it waits for the others; raises where one will not come.

    Raises:
        TrialError: they have not all come within MEETING_SECONDS.
    """
    store.add("here", 1)
    end = time.monotonic() + MEETING_SECONDS
    while (here := store.add("here", 0)) < size:
        check()
        if time.monotonic() > end:
            raise TrialError(
                f"{here} of the {size} processes that train it have come within {MEETING_SECONDS:g} s"
            )
        time.sleep(0.05)
    store.set_timeout(PATIENCE)
    backend = "nccl" if device == "cuda" else "gloo"
    dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=PATIENCE)
    try:
        yield Group(rank, size, dist.new_group(backend="gloo", timeout=PATIENCE))
    finally:
        dist.destroy_process_group()
