"""vcbench pick: which backbone for one's own images, within a budget."""

import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli.common import (
    DEFAULT_RESULTS,
    DataDir,
    Device,
    Json,
    Results,
    WeightsDir,
    data_folder,
    duration,
    format_duration,
    print_columns,
    print_json,
    warn,
    weights_folder,
)
from bench.cli.progress import Ended, Stop, phases
from bench.errors import BenchError, InputError

if TYPE_CHECKING:
    import pandas as pd

    from bench.data import Dataset
    from bench.picking.answer import Answer
    from bench.picking.candidates import Candidate
    from bench.picking.pick import Picked
    from bench.picking.trained import Key, Trained

BUDGET = "10m"
REPLICATES = 3  # of a fine-tuning in the suite that goes on


def pick(
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="A folder of images, a table of them, or a dataset's name.")
    ],
    budget: Annotated[
        str, typer.Option("--budget", metavar="TIME", help="When to have the answer: 90s, 10m or 1h30m.")
    ] = BUDGET,
    models: Annotated[
        str | None,
        typer.Option(
            "--models",
            metavar="A,B",
            help="Candidates [default: pretrained ViTs and CNNs whose weights are here or can be fetched].",
            show_default=False,
        ),
    ] = None,
    max_params: Annotated[
        str | None,
        typer.Option("--max-params", metavar="N", help="The most parameters, as in 10M.", show_default=False),
    ] = None,
    max_latency: Annotated[
        str | None,
        typer.Option(
            "--max-latency",
            metavar="TIME",
            help="The longest for one image here, as in 30ms.",
            show_default=False,
        ),
    ] = None,
    input_size: Annotated[int, typer.Option("--input-size", min=8, max=2048, help="In px.")] = 224,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="The suite that goes on [default: pick-NAME.toml]"),
    ] = None,
    results: Results = DEFAULT_RESULTS,
    data_dir: DataDir = None,
    weights_dir: WeightsDir = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Pick a backbone for your images within a budget.

    Candidates race on frozen features of a growing sample of the training images; the best are judged on val
    images, and fine-tuned where the budget allows. The test split is left alone until then. Run again with a
    larger budget, it goes on.

    Example: vcbench pick photos/ --budget 10m --max-params 30M
    """
    stop = Stop(duration(budget))
    with stop.on_signals():
        try:
            answer = pick_backbone(
                data,
                Place(results, data_dir, weights_dir, device),
                stop,
                models=_names(models),
                max_params=None if max_params is None else _number(max_params),
                max_latency_ms=None if max_latency is None else _milliseconds(max_latency),
                input_size=input_size,
                out=out,
                quiet=as_json,
            )
        except Ended:
            if stop.interrupted:
                raise KeyboardInterrupt from None
            raise InputError(f"--budget {budget}: was spent before the images were listed") from None
    if as_json:
        print_json(
            {
                "answer": answer.sentences,
                "best": answer.best,
                "suite": str(answer.suite),
                "next": answer.next,
                "left_out": answer.left_out,
                "table": _plain(answer.table),
            }
        )
    else:
        _print(answer)
    if stop.interrupted:
        raise typer.Exit(stop.exit_status)


def _names(models: str | None) -> list[str]:
    names = [name.strip() for name in (models or "").split(",") if name.strip()]
    if models is not None and not names:
        raise InputError(f"--models {models!r}: should be names of models, as in --models A,B")
    return names


@dataclass(frozen=True)
class Place:
    """Where a pick finds its inputs, and where its suite would be run."""

    results: Path = DEFAULT_RESULTS
    data_dir: Path | None = None
    weights_dir: Path | None = None
    device: str = "auto"

    def command(self, *words: str) -> str:
        """A command on the run store."""
        store = ["--results", str(self.results)] if self.results != DEFAULT_RESULTS else []
        return shlex.join(["vcbench", *words, *store])

    def run(self, suite: Path) -> str:
        """The command that runs a suite here."""
        options = [
            *(["--data-dir", str(self.data_dir)] if self.data_dir else []),
            *(["--weights-dir", str(self.weights_dir)] if self.weights_dir else []),
            *(["--device", self.device] if self.device != "auto" else []),
        ]
        return self.command("run", str(suite), *options)


def pick_backbone(
    data: str,
    place: Place,
    stop: Stop,
    *,
    models: Sequence[str] = (),
    max_params: float | None = None,
    max_latency_ms: float | None = None,
    input_size: int = 224,
    out: Path | None = None,
    quiet: bool = False,
    finetune: bool = True,
) -> "Answer":
    """Behind `vcbench pick` and `vcbench.pick`; see there.

    Args:
        stop: the budget, and whether to end early.
        quiet: show neither bars nor lines but warnings.
        finetune: whether to fine-tune where there is time.

    Raises:
        BenchError: the images or the models are not here, or the budget is too small.
        Ended: asked to stop before anything was scored.
    """
    assert stop.deadline is not None and stop.budget is not None
    from bench.files import write_json
    from bench.machine import choose_device
    from bench.networks.weights import hub_answers
    from bench.picking.answer import Answer, record
    from bench.picking.candidates import LeftOut, find_candidates
    from bench.picking.clock import ENDING, Clock
    from bench.picking.pick import pick as race
    from bench.picking.sentences import sentences, stopped_at
    from bench.picking.suite import refuse_other_file
    from bench.picking.trained import memory_by
    from bench.training.allocator import KEEP_FREED, keep_freed_memory, trained_allocator

    stop.deadline -= ENDING
    clock = Clock(stop.budget, interrupted=lambda: stop.interrupted, began=stop.began)
    folder, chosen = data_folder(place.data_dir), choose_device(place.device)
    dataset, name = _open(data, folder, place.results)
    path = out or Path(f"pick-{dataset.name}.toml")
    refuse_other_file(path)
    if trained_allocator(chosen) == KEEP_FREED:
        keep_freed_memory()  # as in training
    for line in dataset.warnings:
        warn(line)
    left_out: list[LeftOut] = []

    def candidates(is_over: Callable[[], bool]) -> "Iterator[Candidate]":
        return find_candidates(
            models,
            weights_folder(place.weights_dir, folder),
            classes=len(dataset.class_names),
            input_size=input_size,
            max_params=max_params,
            online=hub_answers,
            is_over=is_over,
            left_out=left_out,
        )

    stop.heed()
    counts = ", ".join(f"{count:,} {split}" for split, count in dataset.counts().items())
    with phases(quiet=quiet) as (show, note):
        note(
            f"{dataset.name}: {len(dataset.class_names)} classes; {counts} images (split {dataset.split_id})"
        )
        try:
            picked = race(
                dataset,
                candidates,
                left_out,
                clock,
                input_size=input_size,
                device=chosen,
                precision="bf16" if chosen == "cuda" else "fp32",
                max_latency_ms=max_latency_ms,
                named=bool(models),
                show=show,
                note=note,
                now=time.perf_counter,
            )
        except InputError:
            if stop.interrupted:
                raise Ended from None
            raise
    write_json(path.with_suffix(".json"), record(picked, name))
    trained, further = _go_on(picked, name, path, place, stop, clock.left if finetune else 0.0, quiet)
    memory = memory_by(place.results, path, chosen) if trained else {}
    return Answer(picked, sentences(picked, trained), stopped_at(picked) + further, path, trained, memory)


def _go_on(
    picked: "Picked", dataset: str, path: Path, place: Place, stop: Stop, seconds: float, quiet: bool
) -> tuple["dict[Key, Trained]", str]:
    """Write the suite, and run it where there is time for it; gives what it came to, and what goes on."""
    from bench.cli.running import run_and_tabulate
    from bench.picking.length import SHORTEST
    from bench.picking.suite import expected_seconds, length_in, write_pick_suite
    from bench.picking.trained import trained_by
    from bench.spec.suite import load_suite

    fits = None if stop.interrupted else length_in(picked, seconds)
    length, names = fits or (SHORTEST, picked.survivors)
    write_pick_suite(picked, dataset, names, length, path)
    command = place.run(path)
    if fits is None:
        rest = format_duration(expected_seconds(picked, names, length, REPLICATES))
        what = "Fine-tuning them would settle it" if len(names) > 1 else "Fine-tuning it goes on from there"
        return {}, f"{what}, in about {rest} here: {command}"
    errored = 0
    try:
        counts = run_and_tabulate(
            load_suite(str(path)),
            path,
            place.results,
            data_dir=place.data_dir,
            weights_dir=place.weights_dir,
            device=place.device,
            replicates=1,
            only=(),
            jobs=1,
            engine=None,
            stop=stop,
            warn=warn,
            quiet=quiet,
        )
        errored = counts["errored"]
    except BenchError as error:
        return {}, f"Fine-tuning ended ({error}); the suite is {path}."
    except Ended:
        pass
    trained = trained_by(place.results, path)
    if errored:
        said = f"{errored} trials of fine-tuning errored (see: {place.command('status')})"
        return trained if len(trained) == 2 * len(names) else {}, f"{said}; try again with: {command}"
    if len(trained) < 2 * len(names):
        return {}, f"Fine-tuning was begun and did not end in time; go on with: {command}"
    tuned = [one.replicates for (recipe, _), one in trained.items() if recipe == "finetune"]
    if min(tuned) >= REPLICATES:
        by_all = place.command("report", path.stem)
        return trained, f"All of this is by the first of {min(tuned)} replicates; by all: {by_all}"
    return trained, f"Three replicates would show how much of it is luck: {command}"


def _open(data: str, data_dir: Path, results: Path) -> tuple["Dataset", str]:
    """The images, and their name in suites."""
    from bench.data.meant import open_new
    from bench.files import from_user
    from bench.planning.new_suite import open_own, own_name
    from bench.store.run_store import RunStore

    RunStore(results).refuse_strangers()
    path = from_user(data)
    if ":" in data or not path.exists():
        return open_new(data, data_dir, results), data
    return open_own(path, results), own_name(path.resolve())


def _number(text: str) -> float:
    """A number such as 5000000, 5M or 5e6.

    Raises:
        InputError: it is none, or not above 0.
    """
    scale = {"k": 1e3, "m": 1e6, "g": 1e9, "b": 1e9}.get(text[-1:].lower(), 1.0)
    try:
        number = float(text[:-1] if scale != 1.0 else text) * scale
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise InputError(f"--max-params {text}: should be a number such as 10M")
    return number


def _milliseconds(text: str) -> float:
    """A time such as 30ms or 0.5s.

    Raises:
        InputError: it is none, or not above 0.
    """
    number, scale = (text[:-2], 1.0) if text.endswith("ms") else (text.removesuffix("s"), 1000.0)
    try:
        value = float(number) * scale if text.endswith("s") else 0.0
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise InputError(f"--max-latency {text}: should be a time such as 30ms")
    return value


def _plain(table: "pd.DataFrame") -> list[dict[str, Any]]:
    """Rows for JSON, what is missing as null."""
    return [
        {key: None if value != value or value is None else value for key, value in row.items()}
        for row in table.astype(object).where(table.notna(), None).to_dict("records")
    ]


def _print(answer: "Answer") -> None:
    print("\n" + " ".join(answer.sentences) + f"\n{answer.next}\n")
    rows = []
    for row in _plain(answer.table):
        rows.append(
            [
                row["title"],
                "-" if row["params"] is None else f"{row['params'] / 1e6:.1f} M",
                "-" if row["images_per_s"] is None else f"{row['images_per_s']:.0f}",
                "-" if row["latency_ms"] is None else f"{row['latency_ms']:.0f}",
                "-" if row["memory_mib"] is None else f"{row['memory_mib']:.0f}",
                _percent(row["cv_top1"]) + ("" if row["sample"] is None else f" of {row['sample']}"),
                _percent(row["knn_top1"]),
                "-" if row["top1"] is None else f"{row['top1']:.1%} ({row['low']:.1%} to {row['high']:.1%})",
                _percent(row["finetuned_top1"]),
                row["group"] or "-",
                {True: "yes", False: "no", None: "-"}[row["pareto"]],
                row["note"],
            ]
        )
    header = (
        "MODEL",
        "PARAMS",
        "IMAGES/S",
        "MS",
        "MIB",
        "CROSS-VALIDATED",
        "KNN",
        "UNSEEN",
        "FINE-TUNED",
        "GROUP",
        "PARETO",
        "",
    )
    print_columns(rows, header)
    print("\n" + "\n".join([*answer.left_out, ""]) if answer.left_out else "")
    print(f"Suite: {answer.suite}; what the answer rests on: {answer.suite.with_suffix('.json')}")


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"
