"""Further processes of this machine that train a network together with this one."""

import multiprocessing
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bench.errors import TrialError
from bench.spec.job import TrainJob

if TYPE_CHECKING:
    from bench.running.workspace import Workspace
    from bench.training.group import Group
    from bench.training.inputs import Inputs
    from bench.training.observer import Observer

    OpenInputs = Callable[[TrainJob, Workspace, Observer], Inputs]

GOODBYE_SECONDS = 30.0
VISIBLE = "CUDA_VISIBLE_DEVICES"


@contextmanager
def together(job: TrainJob, workspace: "Workspace", open_inputs: "OpenInputs") -> "Iterator[Group]":
    """Start the others for a job; this process is the first of the group. They end with the block.

    Args:
        open_inputs: what the training is done on, in another process.

    Raises:
        TrialError: one of them has died.
    """
    from bench.training.group import joined

    size = workspace.gpus_per_trial
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    others = [
        context.Process(target=_take_part, args=(job, workspace, open_inputs, rank, size, port), daemon=True)
        for rank in range(1, size)
    ]
    for rank, process in enumerate(others, 1):
        with _only_gpu(rank):
            process.start()
    dead: list[int] = []
    try:
        with joined(0, size, port, workspace.device) as group:
            try:
                yield group
            except BaseException:  # stopped, diverged or failed: the others wait for this one
                dead += [process.exitcode for process in others if process.exitcode]
                for process in others:
                    process.kill()
                raise
    except RuntimeError as error:
        if not dead:
            raise
        raise TrialError(f"one of the {size} processes that train it ended with status {dead[0]}") from error
    finally:
        for process in others:
            process.join(GOODBYE_SECONDS)
            if process.is_alive():
                process.kill()
                process.join()


@contextmanager
def _only_gpu(number: int) -> Iterator[None]:
    """What is started here sees one GPU, the one with this number among those that this process sees."""
    before = os.environ.get(VISIBLE)
    seen = before.split(",") if before else [str(one) for one in range(number + 1)]
    if number < len(seen):
        os.environ[VISIBLE] = seen[number]
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(VISIBLE, None)
        else:
            os.environ[VISIBLE] = before


def _take_part(
    job: TrainJob, workspace: "Workspace", open_inputs: "OpenInputs", rank: int, size: int, port: int
) -> None:
    """What a further process does: the steps of the training, and nothing else."""
    import torch

    from bench.training.group import joined
    from bench.training.loop import Diverged
    from bench.training.observer import Silent, Stopped
    from bench.training.train_network import take_part

    if workspace.device == "cpu":
        torch.set_num_threads(max(1, torch.get_num_threads() // size))
    with joined(rank, size, port, workspace.device) as group:
        inputs = open_inputs(job, workspace, Silent())
        try:
            take_part(inputs, group)
        except (Diverged, Stopped):  # as in the first process, which tells
            return
