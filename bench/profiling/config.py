"""What is measured: a model, or the data path, and everything in how it is run that the numbers depend on."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import Any

from bench.errors import InputError

MODES = ("infer", "train")
PRECISIONS = ("fp32", "tf32", "bf16", "fp16")
CUDA_PRECISIONS = ("tf32", "fp16")
MEMORY_FORMATS = ("contiguous", "channels_last")
ALLOCATORS = ("keep_freed", "default")
# Stands for the layout, or the allocator's setting, in which trials train the model on the device.
AS_TRAINED = "as_trained"
# What trials can be trained in.
TRAINED_PRECISIONS = ("fp32", "bf16")
# Input sizes in px at which the growth of a model's cost is looked at.
SIZES = (96, 128, 160, 192, 224, 256, 320, 384, 448, 512)
# Ways of an image to a network: decoded from JPEG bytes, or taken from the decoded cache as in training.
PATHS = ("jpeg", "cache")
NO_COUNTER = (
    "energy: NVML has no energy counter for this device, so energy is not measured and its columns stay empty"
)


@dataclass(frozen=True)
class Setting:
    """One row of a table of speed, memory, energy or end to end, before it is measured.

    Attributes:
        mode: "infer", a forward pass; "train", forward, backward and a step of the optimizer.
        input_size: in px.
        precision: "fp32" with TF32 off; "tf32" is fp32 with TF32 on; "bf16" and "fp16" are the type of the
            weights in inference, and that of autocast in training.
        device: "cpu" or "cuda".
        threads: that the CPU's operations are spread over.
        allocator: "keep_freed" where the C library keeps freed memory for the next step, as it does in trials
            on the CPU; "default" where it gives it back to the system.
        cudnn_benchmark: whether cuDNN looks for its fastest algorithm for each shape, as it does in trials.
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
    allocator: str = "default"
    cudnn_benchmark: bool = False

    def facts(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)

    @property
    def as_trained(self) -> bool:
        """Whether a trial on this device would train the model so: in this layout, with this allocator,
        eager, in a precision that there are trials in."""
        like = as_trained(self)
        return like == self and self.precision in TRAINED_PRECISIONS

    @property
    def words(self) -> str:
        """The setting in one line."""
        layout = f"{self.memory_format}, {'compiled' if self.compiled else 'eager'}"
        if self.device == "cpu" and self.allocator == "default":
            layout += ", freed memory returned"
        return (
            f"{self.model} {self.mode}, batch {self.batch_size}, {self.input_size} px, "
            f"{self.precision}, {layout}"
        )


@dataclass(frozen=True)
class Loading:
    """One row of the loading table, before it is measured; `path` is of `PATHS`."""

    path: str
    batch_size: int
    input_size: int
    device: str
    threads: int
    allocator: str = "default"

    def facts(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)

    @property
    def words(self) -> str:
        """The setting in one line."""
        return f"from {self.path}, batch {self.batch_size}, {self.input_size} px"


@dataclass(frozen=True)
class Growth:
    """The costs of a model at several input sizes in px."""

    model: str
    classes: int
    sizes: tuple[int, ...] = SIZES

    def facts(self) -> dict[str, Any]:
        """As plain data."""
        return {"classes": self.classes, "sizes": list(self.sizes)}

    @property
    def words(self) -> str:
        """The setting in one line."""
        return f"{self.model} from {self.sizes[0]} to {self.sizes[-1]} px"


@dataclass(frozen=True)
class Effort:
    """How long to measure: processes a row; in each, at least so many steps and so many seconds of them.

    A row that is unstable gets further processes, up to `most`; None for none.
    """

    processes: int = 3
    repeats: int = 10
    seconds: float = 1.0
    most: int | None = None


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
    allocators: Sequence[str] = (AS_TRAINED,),
) -> list[Setting]:
    """Every combination once, in order; `AS_TRAINED` among the layouts and allocators is each model's own."""
    combinations = product(
        models, modes, input_sizes, precisions, memory_formats, allocators, compiled, batch_sizes
    )
    found = []
    for model, mode, input_size, precision, memory_format, allocator, compile_it, batch_size in combinations:
        setting = Setting(
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
            allocator=allocator,
            cudnn_benchmark=device == "cuda",
        )
        like = as_trained(setting)
        if memory_format == AS_TRAINED:
            setting = replace(setting, memory_format=like.memory_format)
        if allocator == AS_TRAINED:
            setting = replace(setting, allocator=like.allocator)
        found.append(setting)
    return list(dict.fromkeys(found))


def as_trained(setting: Setting) -> Setting:
    """The setting with layout, allocator, cuDNN and compilation as trials on its device have them."""
    from bench.networks import find_card
    from bench.training.allocator import trained_allocator

    return replace(
        setting,
        memory_format=find_card(setting.model).memory_format,
        allocator=trained_allocator(setting.device),
        cudnn_benchmark=setting.device == "cuda",
        compiled=False,
    )


def check_precisions(precisions: Sequence[str], device: str, *, where: str) -> None:
    """Refuse a precision that only a GPU has on a CPU.

    Raises:
        InputError: with `where` it was asked for.
    """
    for name in precisions:
        if device == "cpu" and name in CUDA_PRECISIONS:
            raise InputError(f"{where} {name}: only on CUDA; on the CPU fp32 and bf16 are measured")


def fitting(size: int, patch: int | None) -> int:
    """The multiple of a transformer's patch nearest to `size` in px; `size` where there is no patch."""
    return size if patch is None else max(round(size / patch), 1) * patch
