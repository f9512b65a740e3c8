"""How many trials a device does at once."""

from collections.abc import Callable, Iterable
from pathlib import Path

from bench.spec.job import Trial

# What a process takes on a GPU before its first tensor, and what cuDNN and cuBLAS work in.
PROCESS_BYTES = 2 * 2**30
# Of the memory that is free; the rest is for what is estimated too low.
SHARE = 0.9


def jobs_that_fit(
    trials: Iterable[Trial], device: str, cores: int, images: Callable[[Trial], int], free: int | None = None
) -> int:
    """As many as there are cores on a CPU; on a CUDA GPU at most as many as its memory holds of the largest;
    elsewhere one.

    Args:
        images: how many a trial's dataset has, which lie on the GPU.
        free: bytes of the GPU's memory; None asks the device.
    """
    trials = list(trials)
    most = max(1, min(cores, len(trials)))
    if device == "cpu" or most == 1:
        return most
    if device != "cuda":
        return 1
    if free is None:
        import torch

        free, _ = torch.cuda.mem_get_info()
    sizes: dict[tuple[object, ...], int] = {}
    for trial in trials:
        key = (trial.model, trial.input_size, trial.dataset, trial.split_id, trial.recipe)
        if key not in sizes:
            sizes[key] = trial_bytes(trial, images(trial), free)
    return max(1, min(most, int(SHARE * free // max(sizes.values()))))


def trial_bytes(trial: Trial, images: int, free: int) -> int:
    """Bytes of a GPU with so many `free` that a trial on a dataset of so many images takes; rather more."""
    import torch

    from bench.networks import find_card, make_model, resolve_weights
    from bench.training.evaluate import EVALUATION_BATCH
    from bench.training.images import RESIDENT_SHARE
    from bench.training.step_memory import step_memory

    card, recipe = find_card(trial.model), trial.recipe
    with torch.device("meta"):
        network = make_model(
            card,
            resolve_weights(card, "none", Path(), download=False),
            classes=1000,
            input_size=trial.input_size,
        )
    batch = recipe.budget.batch_size if recipe.budget is not None else 0
    step = step_memory(network, trial.input_size, batch, EVALUATION_BATCH["cuda"])
    # A teacher only looks on, but may be the larger network.
    step *= 2 if recipe.distill is not None else 1
    resident = images * 3 * recipe.augment.stored_size(trial.input_size) ** 2
    return PROCESS_BYTES + step + int(min(resident, 2 * RESIDENT_SHARE * free))
