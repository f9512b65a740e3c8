"""What is measured: a model and everything in how it is run that its speed and memory depend on."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

MODES = ("infer", "train")
PRECISIONS = ("fp32", "tf32", "bf16", "fp16")
CUDA_PRECISIONS = ("tf32", "fp16")
MEMORY_FORMATS = ("contiguous", "channels_last")


@dataclass(frozen=True)
class Setting:
    """One row of a speed or memory table, before it is measured.

    Attributes:
        mode: "infer", a forward pass; "train", forward, backward and a step of the optimizer.
        input_size: in px.
        precision: "fp32" with TF32 off; "tf32" is fp32 with TF32 on; "bf16" and "fp16" are the type of the
            weights in inference, and that of autocast in training.
        device: "cpu" or "cuda".
        threads: that the CPU's operations are spread over.
    """

    model: str
    mode: str
    batch_size: int
    input_size: int
    classes: int
    precision: str
    memory_format: str
    compiled: bool
    device: str
    threads: int

    def facts(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def grid(
    models: Sequence[str],
    modes: Sequence[str],
    batch_sizes: Sequence[int],
    input_sizes: Sequence[int],
    precisions: Sequence[str],
    memory_formats: Sequence[str],
    compiled: Sequence[bool],
    *,
    classes: int,
    device: str,
    threads: int,
) -> list[Setting]:
    """Every combination once, in order."""
    combinations = product(models, modes, input_sizes, precisions, memory_formats, compiled, batch_sizes)
    return [
        Setting(
            model=model,
            mode=mode,
            batch_size=batch_size,
            input_size=input_size,
            classes=classes,
            precision=precision,
            memory_format=memory_format,
            compiled=compile_it,
            device=device,
            threads=threads,
        )
        for model, mode, input_size, precision, memory_format, compile_it, batch_size in dict.fromkeys(
            combinations
        )
    ]
