"""vcbench profile: measure any models here and now."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli.common import DEFAULT_RESULTS, Device, Json, Results, print_columns, print_json
from bench.errors import InputError, did_you_mean, shortened

if TYPE_CHECKING:
    from bench.profiling.job import ProfileJob

FULL_BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
FULL_CUDA_BATCH_SIZES = (*FULL_BATCH_SIZES, 512, 1024)
FULL_PROCESSES = 5


def profile(
    models: Annotated[list[str], typer.Argument(metavar="MODEL...", help="Model cards or timm models.")],
    what: Annotated[
        str,
        typer.Option(
            "--what",
            metavar="A,B",
            help="Of cost, speed, memory, energy (with speed), scaling (costs at 96 to 512 px, and speed and "
            "memory there in the first setting if they are named too), end_to_end (JPEG bytes to label, and "
            "the data path alone).",
        ),
    ] = "cost,speed,memory",
    mode: Annotated[
        str | None, typer.Option("--mode", metavar="A,B", help="infer, train [default: infer].")
    ] = None,
    batch_size: Annotated[
        str | None, typer.Option("--batch-size", metavar="N,N", help="[default: 1,32]")
    ] = None,
    input_size: Annotated[
        str, typer.Option("--input-size", metavar="PX,PX", help="The same for all models.")
    ] = "224",
    classes: Annotated[
        int, typer.Option("--classes", min=1, max=1_000_000, help="Outputs of the head.")
    ] = 1000,
    precision: Annotated[
        str | None,
        typer.Option("--precision", metavar="A,B", help="fp32, bf16; on CUDA tf32, fp16 [default: fp32]."),
    ] = None,
    memory_format: Annotated[
        str | None,
        typer.Option(
            "--memory-format",
            metavar="A,B",
            help="as_trained (each model's own), contiguous, channels_last [default: as_trained].",
        ),
    ] = None,
    allocator: Annotated[
        str | None,
        typer.Option(
            "--allocator",
            metavar="A,B",
            help="as_trained; keep_freed, where the C library keeps freed memory; default, where it gives it "
            "back [default: as_trained].",
        ),
    ] = None,
    runtime: Annotated[
        str | None,
        typer.Option(
            "--runtime",
            metavar="A,B",
            help="Of torch, onnxruntime, openvino: what runs the networks; of the others speed and memory of "
            "inference on the CPU, beside torch [default: torch].",
        ),
    ] = None,
    int8: Annotated[
        bool, typer.Option("--int8", help="Measure the other runtimes in int8 beside fp32.")
    ] = False,
    compiled: Annotated[
        bool, typer.Option("--compile", help="Measure compiled networks beside eager ones.")
    ] = False,
    full: Annotated[
        bool,
        typer.Option(
            "--full", help="The whole grid where no list is given, 5 processes a row, best settings anew."
        ),
    ] = False,
    threads: Annotated[
        int | None,
        typer.Option(
            "--threads", min=1, help="[default: OMP_NUM_THREADS, else all cores]", show_default=False
        ),
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option("--processes", min=3, help="Fresh processes a row [default: 3].", show_default=False),
    ] = None,
    repeats: Annotated[int, typer.Option("--repeats", min=1, help="At least so many steps in each.")] = 10,
    seconds: Annotated[
        float, typer.Option("--seconds", min=0, help="And at least so many seconds of them.")
    ] = 1.0,
    device: Device = "auto",
    results: Results = DEFAULT_RESULTS,
    as_json: Json = False,
) -> None:
    """Measure cost, speed, memory and energy of models anew, and write the tables.

    Each model is measured as trials here train it: in its own memory layout, with freed memory kept on a CPU,
    with cuDNN looking for its fastest algorithm on a GPU. A row that is unstable gets up to four times the
    processes. One that lies more than 5 % from what the store already holds of the same setting is marked
    unstable too.

    Example: vcbench profile deit_tiny_patch16_224 resnet18 --batch-size 1,32 --precision fp32,bf16
    """
    from bench.profiling.config import (
        ALLOCATORS,
        AS_TRAINED,
        CUDA_PRECISIONS,
        MEMORY_FORMATS,
        MODES,
        NO_COUNTER,
        PRECISIONS,
        CostConfig,
        check_precisions,
        deployed_grid,
        grid,
    )
    from bench.profiling.job import Budget, Request, profile_job
    from bench.profiling.kinds import requestable
    from bench.profiling.plan import can_measure_energy, requested_jobs
    from bench.spec.recipe import LARGEST_BATCH, LARGEST_SIDE

    chosen = _names("--what", what, ("cost", *requestable()))
    given_modes = _names("--mode", mode, MODES)
    precisions = _names("--precision", precision, PRECISIONS)
    formats = _names("--memory-format", memory_format, (AS_TRAINED, *MEMORY_FORMATS))
    allocators = _names("--allocator", allocator, (AS_TRAINED, *ALLOCATORS))
    batch_sizes = _numbers("--batch-size", batch_size, LARGEST_BATCH)
    input_sizes = _numbers("--input-size", input_size, LARGEST_SIDE)
    runtimes = _runtimes(runtime, int8, chosen, given_modes)

    from bench.machine import choose_device
    from bench.networks import find_card
    from bench.profiling.processes import default_threads

    models = list(dict.fromkeys(find_card(model).name for model in models))
    device = choose_device(device)
    check_precisions(precisions or (), device, where="--precision")
    if "end_to_end" in chosen and given_modes and "infer" not in given_modes:
        raise InputError(f"--what {what}: end_to_end is inference; give --mode infer too")
    if "energy" in chosen and not can_measure_energy(device):
        if len(chosen) == 1:
            raise InputError(f"--what {what}: {NO_COUNTER}")
        _log(NO_COUNTER)
        chosen.remove("energy")
    elif "energy" in chosen:
        chosen.append("speed")  # energy is a column of its table
    if full:
        given_modes = given_modes or list(MODES)
        formats = formats or list(MEMORY_FORMATS)
        precisions = precisions or [p for p in PRECISIONS if device == "cuda" or p not in CUDA_PRECISIONS]
        batch_sizes = batch_sizes or list(FULL_BATCH_SIZES if device == "cpu" else FULL_CUDA_BATCH_SIZES)
    configs = grid(
        models,
        given_modes or ("infer",),
        batch_sizes or (1, 32),
        input_sizes,
        precisions or ("fp32",),
        formats or (AS_TRAINED,),
        (False, True) if compiled or full else (False,),
        classes=classes,
        device=device,
        threads=threads or default_threads(),
        allocators=allocators or (AS_TRAINED,),
    )
    budget = Budget(processes or (FULL_PROCESSES if full else 3), repeats, seconds)
    costs = [
        profile_job("cost", CostConfig(model, classes, size)) for model in models for size in input_sizes
    ]
    deployed = deployed_grid(
        models,
        batch_sizes or (1, 32),
        input_sizes,
        runtimes,
        classes=classes,
        threads=threads or default_threads(),
    )
    jobs = requested_jobs(Request(frozenset(chosen), configs, budget, deployed=deployed))
    records = _measure(costs, jobs, "cost" in chosen, full, results)
    if as_json:
        print_json(records)
    else:
        _print(records)
        print(f"\nTables are in {results / 'tables'}")


def _runtimes(
    text: str | None, int8: bool, chosen: Sequence[str], modes: Sequence[str]
) -> list[tuple[str, str]]:
    """The runtimes beside PyTorch, each with its precisions.

    Raises:
        InputError: one that is not known, or not installed; or nothing that is measured of them.
    """
    from bench.runtimes import TORCH, find_runtime, runtime_names

    others = [name for name in _names("--runtime", text, (TORCH, *runtime_names())) if name != TORCH]
    if int8 and not others:
        raise InputError(f"--int8: needs another --runtime than {TORCH}, such as {runtime_names()[0]}")
    if others and ({"speed", "memory"}.isdisjoint(chosen) or (modes and "infer" not in modes)):
        raise InputError(
            f"--runtime {text}: exported networks are measured in speed and memory of inference; give one of "
            "these in --what, and infer in --mode"
        )
    for name in others:
        find_runtime(name).require(int8, where=f"--runtime {name}")
    return [(name, precision) for name in others for precision in ("fp32", *(["int8"] if int8 else []))]


def _measure(
    costs: "Sequence[ProfileJob]",
    jobs: "Sequence[ProfileJob]",
    store_costs: bool,
    find_best: bool,
    results: Path,
) -> list[dict[str, Any]]:
    """Take the measurements, storing each as it is done; returns the records."""
    from bench.profiling.run import check_jobs, measure
    from bench.profiling.session import Session
    from bench.running.runner import PROFILES
    from bench.store.run_store import RunStore
    from bench.tables.tables import write_tables

    store = RunStore(results)
    # Costs are counted whatever was asked for: it finds what cannot be made.
    check_jobs([*costs, *jobs], Session(store))
    store.prepare()
    records = {record.id: record.content() for record in measure(costs if store_costs else (), store)}
    with store.claim(PROFILES) as mine:
        if not mine and jobs:
            raise InputError(
                f"{results}: another process is measuring in this store, and two would disturb each other; "
                "wait until it is done"
            )
        try:
            for record in measure(jobs, store, log=_log, find_best=find_best):
                records[record.id] = record.content()
        finally:
            write_tables(store)
    return list(records.values())


def _log(text: str) -> None:
    typer.echo(text, err=True)


def _print(records: Sequence[dict[str, Any]]) -> None:
    """One table a kind of profile."""
    from bench.profiling.kinds import all_kinds

    for name, kind in all_kinds().items():
        rows = [row for record in records if record["what"] == name for row in kind.rows(record)]
        if rows:
            print(f"\n{name.upper().replace('_', ' ')}")
            header = [column.upper().replace("_", " ") for column in kind.columns]
            cells = [[*(_cell(row.get(column)) for column in kind.columns), _note(row)] for row in rows]
            print_columns(cells, [*header, "NOTE"])


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _note(record: dict[str, Any]) -> str:
    """Why there is no number, or why it is to be read with care; and whether it is the model's best."""
    if record.get("reason"):
        return record["reason"]
    notes = [name for name in ("best", "unstable", "busy") if record.get(name)]
    if not record.get("steady", True):
        notes.append("not steady")
    if record.get("unstable") and record["earlier_images_per_s"]:
        notes.append(f"{record['earlier_images_per_s']:.4g} images/s before")
    return ", ".join(notes)


def _names(option: str, text: str | None, known: Sequence[str]) -> list[str]:
    """Names separated by commas, each once; none where the option was not given.

    Raises:
        InputError: one that is not known.
    """
    if text is None:
        return []
    names = list(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        if name not in known:
            raise InputError(
                f'{option} {shortened(text)}: "{shortened(name)}" should be of '
                f"{', '.join(known)}{did_you_mean(name, known)}"
            )
    return names


def _numbers(option: str, text: str | None, most: int) -> list[int]:
    """Whole numbers from 1 to `most`, separated by commas, each once; none where the option was not given.

    Raises:
        InputError: anything else.
    """
    if text is None:
        return []
    numbers = [number.strip() for number in text.split(",")]
    if not all(re.fullmatch("[0-9]{1,9}", number) and 1 <= int(number) <= most for number in numbers):
        raise InputError(
            f"{option} {shortened(text)}: should be whole numbers from 1 to {most}, separated by commas, "
            "such as 1,32"
        )
    return list(dict.fromkeys(map(int, numbers)))
