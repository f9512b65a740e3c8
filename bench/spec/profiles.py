"""What a suite asks to be profiled: costs to count, and what to measure on the machine at hand."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from bench.runtimes import TORCH, runtime_names
from bench.spec.recipe import LARGEST_BATCH, LARGEST_SIDE, MOST_CLASSES, SIZES
from bench.spec.toml import Strict

Classes = Annotated[int, Field(ge=1, le=MOST_CLASSES)]


class CostProfiles(Strict):
    """Costs to count: every model with every number of classes, at one input size."""

    models: tuple[str, ...] = Field(min_length=1)
    classes: tuple[Classes, ...] = (1000,)
    input_size: int | None = Field(None, ge=8, le=LARGEST_SIDE)


def _known_kind(name: str) -> str:
    from bench.profiling.kinds import requestable

    if name not in requestable():
        raise ValueError(f"should be one of {', '.join(requestable())}")
    return name


def _known_runtime(name: str) -> str:
    if name not in (TORCH, *runtime_names()):
        raise ValueError(f"should be one of {', '.join((TORCH, *runtime_names()))}")
    return name


What = Annotated[str, AfterValidator(_known_kind)]
RuntimeName = Annotated[str, AfterValidator(_known_runtime)]


class MeasuredProfiles(Strict):
    """What to measure on the machine at hand: every model in every combination of the lists.

    `energy` is measured on GPUs that count it, and stays empty elsewhere; `end_to_end` goes from JPEG bytes
    to labels, and has the data path alone beside it; `scaling` looks at `sizes` in px. A row is made of so
    many fresh `processes`, each of at least so many `repeats` and `seconds`. Without `limits` those of the
    machine (matrix products, memory) are not measured beside, of which rates would be a share. A row that
    models are compared by gets up to `patience` times as many processes while it is unstable; None is four.

    "as_trained" among `memory_formats` and `allocators` is what each model is trained in on the device. The
    first block that measures speed or memory of a mode at an input size as trained is the headline of these:
    its models are compared, in its first precision, at its batch sizes. All else is shown as further rows.

    `runtimes` beside "torch" are of `bench.runtimes`: speed and memory of inference are measured of the
    exported networks too, on the CPU, in fp32 and with `int8` in that as well. Models are compared in each.
    """

    what: tuple[What, ...] = Field(min_length=1)
    models: tuple[str, ...] = Field(min_length=1)
    modes: tuple[Literal["infer", "train"], ...] = Field(("infer",), min_length=1)
    batch_sizes: tuple[Annotated[int, Field(ge=1, le=LARGEST_BATCH)], ...] = Field((1,), min_length=1)
    input_size: int = Field(224, ge=8, le=LARGEST_SIDE)
    precisions: tuple[Literal["fp32", "tf32", "bf16", "fp16"], ...] = Field(("fp32",), min_length=1)
    memory_formats: tuple[Literal["as_trained", "contiguous", "channels_last"], ...] = Field(
        ("as_trained",), min_length=1
    )
    allocators: tuple[Literal["as_trained", "keep_freed", "default"], ...] = Field(
        ("as_trained",), min_length=1
    )
    compiled: tuple[bool, ...] = Field((False,), min_length=1)
    classes: Classes = 1000
    sizes: tuple[Annotated[int, Field(ge=8, le=LARGEST_SIDE)], ...] = Field(SIZES, min_length=1)
    processes: int = Field(3, ge=3, le=100)
    repeats: int = Field(10, ge=1, le=100_000)
    seconds: float = Field(1.0, ge=0, le=3600)
    limits: bool = True
    patience: int | None = Field(None, ge=1, le=100)
    runtimes: tuple[RuntimeName, ...] = (TORCH,)
    int8: bool = False

    @property
    def deployed(self) -> tuple[tuple[str, str], ...]:
        """The runtimes beside PyTorch, each with the precisions in which it is measured."""
        precisions = ("fp32", "int8") if self.int8 else ("fp32",)
        return tuple((name, one) for name in self.runtimes if name != TORCH for one in precisions)

    @property
    def compares(self) -> bool:
        """Whether it measures speed or memory of every model as it is trained."""
        own = "as_trained" in self.memory_formats and "as_trained" in self.allocators
        return own and False in self.compiled and not {"speed", "memory"}.isdisjoint(self.what)

    @model_validator(mode="after")
    def _has_inference(self) -> "MeasuredProfiles":
        if "end_to_end" in self.what and "infer" not in self.modes:
            raise ValueError('what = "end_to_end" is inference: modes should have "infer"')
        return self

    @model_validator(mode="after")
    def _can_be_exported(self) -> "MeasuredProfiles":
        if TORCH not in self.runtimes:
            raise ValueError(f'runtimes: should have "{TORCH}" too, which the others are held against')
        if self.int8 and not self.deployed:
            raise ValueError(f"int8: needs another of runtimes, such as {runtime_names()[0]}")
        if self.deployed and "infer" not in self.modes:
            raise ValueError('runtimes: exported networks do inference: modes should have "infer"')
        if self.deployed and {"speed", "memory"}.isdisjoint(self.what):
            raise ValueError('runtimes: what should have "speed" or "memory"')
        return self


class Profiles(Strict):
    """What of the models' cost a suite measures: counted, and on the machine at hand."""

    cost: tuple[CostProfiles, ...] = ()
    measured: tuple[MeasuredProfiles, ...] = ()

    @property
    def headlines(self) -> list[dict[str, Any]]:
        """The settings in which models are compared: one for each mode and input size that is measured as
        trained. Each has mode, input_size, classes, precision, batch_sizes, scaling_batch_size, of rows over
        input sizes, and, where there are others than PyTorch, the runtimes with their precisions."""
        headlines: dict[tuple[str, int], dict[str, Any]] = {}
        for block in self.measured:
            if not block.compares:
                continue
            for mode in block.modes:
                headline = headlines.setdefault(
                    (mode, block.input_size),
                    {
                        "mode": mode,
                        "input_size": block.input_size,
                        "classes": block.classes,
                        "precision": block.precisions[0],
                        "batch_sizes": sorted(block.batch_sizes),
                        "scaling_batch_size": None,
                    },
                )
                if mode == "infer" and block.deployed:
                    headline.setdefault("runtimes", list(map(list, block.deployed)))
                if "scaling" in block.what and mode == block.modes[0]:
                    headline["scaling_batch_size"] = headline["scaling_batch_size"] or block.batch_sizes[0]
        return list(headlines.values())
