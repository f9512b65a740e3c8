"""What is measured: a model, or the data path, and everything in how it is run that the numbers depend on."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import Any, ClassVar

from bench.errors import InputError
from bench.runtimes import TORCH, runtime_title
from bench.spec.recipe import SIZES

MODES = ("infer", "train")
PRECISIONS = ("fp32", "tf32", "bf16", "fp16")
CUDA_PRECISIONS = ("tf32", "fp16")
DEVICE_TITLES = {"cpu": "the CPU", "mps": "MPS"}
MEMORY_FORMATS = ("contiguous", "channels_last")
ALLOCATORS = ("keep_freed", "default")
# Stands for the layout, or the allocator's setting, in which trials train the model on the device.
AS_TRAINED = "as_trained"
# What trials can be trained in.
TRAINED_PRECISIONS = ("fp32", "bf16")
# What exported networks are measured in.
DEPLOYED_PRECISIONS = ("fp32", "int8")
# Ways of an image to a network: decoded from JPEG bytes, or taken from the decoded cache as in training.
PATHS = ("jpeg", "cache")
NO_COUNTER = (
    "energy: NVML has no energy counter for this device, so energy is not measured and its columns stay empty"
)


@dataclass(frozen=True)
class NetworkConfig:
    """How a model is run to measure its speed, memory or energy, or the way from JPEG bytes to labels.

    Attributes:
        mode: "infer", a forward pass; "train", forward, backward and a step of the optimizer.
        input_size: in px.
        precision: "fp32" with TF32 off; "tf32" is fp32 with TF32 on; "bf16" and "fp16" are the type of the
            weights in inference, and that of autocast in training; "int8", which a `runtime` other than
            PyTorch alone has, is that of the products' weights and activations.
        device: "cpu", "cuda" or "mps".
        threads: that the CPU's operations are spread over.
        allocator: "keep_freed" where the C library keeps freed memory for the next step, as it does in trials
            on the CPU; "default" where it gives it back to the system.
        cudnn_benchmark: whether cuDNN looks for its fastest algorithm for each shape, as it does in trials.
        runtime: "torch", or the library of `bench.runtimes` that runs the exported network.
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
    runtime: str = TORCH

    @property
    def as_trained(self) -> bool:
        """Whether a trial on this device would train the model so: in this layout, with this allocator,
        eager, in a precision that there are trials in."""
        return not self.deployed and as_trained(self) == self and self.precision in TRAINED_PRECISIONS

    @property
    def deployed(self) -> bool:
        """Whether the exported network is run, by another library than PyTorch."""
        return self.runtime != TORCH

    @property
    def compared(self) -> bool:
        """Whether models are compared by it: in the settings of trials, or exported."""
        return self.as_trained or self.deployed

    @property
    def label(self) -> str:
        layout = f"{self.memory_format}, {'compiled' if self.compiled else 'eager'}"
        if self.deployed:
            layout = runtime_title(self.runtime)
        elif self.device == "cpu" and self.allocator == "default":
            layout += ", freed memory returned"
        return (
            f"{self.model} {self.mode}, batch {self.batch_size}, {self.input_size} px, "
            f"{self.precision}, {layout}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Its fields; without the runtime where that is PyTorch: earlier records know no other."""
        return {name: value for name, value in asdict(self).items() if (name, value) != ("runtime", TORCH)}


@dataclass(frozen=True)
class LoadingConfig:
    """How images are loaded, without a model; `path` is of `PATHS`."""

    path: str
    batch_size: int
    input_size: int
    device: str
    threads: int
    allocator: str = "default"
    model: ClassVar[None] = None
    as_trained: ClassVar[bool] = False

    @property
    def label(self) -> str:
        return f"from {self.path}, batch {self.batch_size}, {self.input_size} px"

    to_dict = asdict


@dataclass(frozen=True)
class ScalingConfig:
    """A model whose costs are counted at several input sizes, in px."""

    model: str
    classes: int
    sizes: tuple[int, ...] = SIZES
    device: ClassVar[str] = "cpu"
    as_trained: ClassVar[bool] = False

    @property
    def label(self) -> str:
        return f"{self.model} from {self.sizes[0]} to {self.sizes[-1]} px"

    def to_dict(self) -> dict[str, Any]:
        return {"classes": self.classes, "sizes": list(self.sizes)}


@dataclass(frozen=True)
class CostConfig:
    """A model with one head, whose cost is counted at one input size, in px."""

    model: str
    classes: int
    input_size: int
    device: ClassVar[str] = "cpu"
    as_trained: ClassVar[bool] = False

    @property
    def label(self) -> str:
        return f"{self.model}, {self.classes} classes, {self.input_size} px"

    def to_dict(self) -> dict[str, Any]:
        return {"classes": self.classes, "input_size": self.input_size}


@dataclass(frozen=True)
class LimitConfig:
    """Where a limit of the machine is measured; `precision` is of matrix products."""

    device: str
    threads: int
    precision: str | None = None
    model: ClassVar[None] = None
    as_trained: ClassVar[bool] = False

    @property
    def label(self) -> str:
        return f"{self.precision or 'memory'} on {self.device}"

    to_dict = asdict


# Each has `model` (or None), `device`, `as_trained`, `label` (what it is, in one line) and
# `to_dict()`, the fields that its records have and that their ids depend on.
Config = NetworkConfig | LoadingConfig | ScalingConfig | CostConfig | LimitConfig
# Those whose measurements take a process of their own, with so many threads.
WorkerConfig = NetworkConfig | LoadingConfig | LimitConfig


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
) -> list[NetworkConfig]:
    """Every combination once, in order; `AS_TRAINED` among the layouts and allocators is each model's own."""
    combinations = product(
        models, modes, input_sizes, precisions, memory_formats, allocators, compiled, batch_sizes
    )
    configs = []
    for model, mode, input_size, precision, memory_format, allocator, compile_it, batch_size in combinations:
        config = NetworkConfig(
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
        trained = as_trained(config)
        if memory_format == AS_TRAINED:
            config = replace(config, memory_format=trained.memory_format)
        if allocator == AS_TRAINED:
            config = replace(config, allocator=trained.allocator)
        configs.append(config)
    return list(dict.fromkeys(configs))


def deployed_grid(
    models: Sequence[str],
    batch_sizes: Sequence[int],
    input_sizes: Sequence[int],
    runtimes: Sequence[tuple[str, str]],
    *,
    classes: int,
    threads: int,
) -> list[NetworkConfig]:
    """Inference on the CPU by every one of `runtimes`, each with a precision of `DEPLOYED_PRECISIONS`."""
    return [
        NetworkConfig(
            model=model,
            mode="infer",
            batch_size=batch_size,
            input_size=input_size,
            classes=classes,
            precision=precision,
            memory_format="contiguous",
            compiled=False,
            device="cpu",
            threads=threads,
            runtime=runtime,
        )
        for model, input_size, (runtime, precision), batch_size in product(
            models, input_sizes, runtimes, batch_sizes
        )
    ]


def as_trained(config: NetworkConfig) -> NetworkConfig:
    """The config with layout, allocator, cuDNN and compilation as trials on its device have them."""
    from bench.networks import find_card
    from bench.training.allocator import trained_allocator

    return replace(
        config,
        memory_format=find_card(config.model).memory_format,
        allocator=trained_allocator(config.device),
        cudnn_benchmark=config.device == "cuda",
        compiled=False,
    )


def check_precisions(precisions: Sequence[str], device: str, *, where: str) -> None:
    """Refuse a precision that only CUDA has on another device.

    Raises:
        InputError: with `where` it was asked for.
    """
    for name in precisions:
        if device != "cuda" and name in CUDA_PRECISIONS:
            raise InputError(
                f"{where} {name}: only on CUDA; on {DEVICE_TITLES[device]} fp32 and bf16 are measured"
            )


def round_to_patch(size: int, patch: int | None) -> int:
    """The multiple of a transformer's patch nearest to `size` in px; `size` where there is no patch."""
    return size if patch is None else max(round(size / patch), 1) * patch
