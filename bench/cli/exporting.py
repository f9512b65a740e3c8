"""vcbench export: results for other tools."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.common import DEFAULT_RESULTS, DataDir, Results, WeightsDir, existing_store
from bench.cli.deploying import Uncalibrated, export_run
from bench.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.store.run_store import RunStore

MODEL_FORMATS = ("onnx", "openvino", "timm", "safetensors")
FORMATS = ("parquet", "csv", "timm", "eval-results", "every-eval-ever")


def export(
    run: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="A run, to take its network away.")
    ] = None,
    *,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The folder to write to.")],
    form: Annotated[
        str,
        typer.Option(
            "--format",
            help="parquet, csv, timm, eval-results, every-eval-ever, or a tracker: tensorboard, wandb, "
            "mlflow, trackio. Of a run: onnx, openvino, timm or safetensors.",
        ),
    ] = "parquet",
    uncalibrated: Uncalibrated = False,
    results: Results = DEFAULT_RESULTS,
    data_dir: DataDir = None,
    weights_dir: WeightsDir = None,
    hub_datasets: Annotated[
        list[str] | None,
        typer.Option(
            "--hub-dataset",
            metavar="NAME=OWNER/NAME",
            help="Which data set of the Hub stands for one of ours: for eval-results, once for each; of a "
            "run, to write its .eval_results.",
        ),
    ] = None,
) -> None:
    """Write results for other tools, or the network of a run.

    Of a RUN: its network in a folder DIR, with class names, how images are made ready, the licence of its
    pretrained weights, and a model card. onnx and openvino take RGB images in 0..1, any number at once, and
    give logits and calibrated probabilities; timm reads its folder by timm.create_model("local-dir:DIR").
    The file is there only if its logits are those of the network. With --hub-dataset the folder also has
    the YAML file that the Hugging Face Hub reads from .eval_results.

    Of a store: parquet and csv are the tables. timm has the columns of the CSV files in timm's results
    folder, as far as there are values: one file a cell of a suite, and one of costs. eval-results are the
    YAML files that model repositories of the Hugging Face Hub hold in .eval_results; every-eval-ever is that
    project's JSON.

    A tracker gets every trial with learning curve, configuration, tags and metrics, grouped by cell, and a
    report of every suite, all offline in DIR; trials that DIR has already are left alone. Its library is an
    extra: pip install -e '.[tensorboard]'.

    Example: vcbench export RUN --format onnx --out model
    """
    if run is not None:
        if form not in MODEL_FORMATS:
            known = f"{', '.join(MODEL_FORMATS)}{did_you_mean(form, MODEL_FORMATS)}"
            raise InputError(f"--format {form}: of a run should be {known}")
        export_run(
            run,
            form,
            out,
            hub_datasets=dict(map(_pair, hub_datasets or [])),
            uncalibrated=uncalibrated,
            results=results,
            data_dir=data_dir,
            weights_dir=weights_dir,
        )
        return
    if uncalibrated:
        raise InputError("--uncalibrated: is for the network of a run; name one")
    from bench.store.run_store import RunStore

    write = _writer(form, hub_datasets or [])
    written = write(RunStore(existing_store(results)), out)
    if not written:
        raise InputError(f"{results}: nothing here to export as {form}, or nothing new")
    for one in written:
        print(one)


def _writer(form: str, hub_datasets: list[str]) -> "Callable[[RunStore, Path], list[Path] | list[str]]":
    """What writes a store in a form to a folder, and returns what it wrote."""
    from bench.exchange.eval_results import export_every_eval_ever, export_hub
    from bench.exchange.export import export_tables, export_timm
    from bench.exchange.trackers import tracker_names
    from bench.exchange.tracking import export_runs

    if form in tracker_names():
        return lambda store, out: export_runs(store, form, out)
    known = (*FORMATS, *tracker_names())
    if form not in known:
        raise InputError(f"--format {form}: should be {', '.join(known)}{did_you_mean(form, known)}")
    if hub_datasets and form != "eval-results":
        raise InputError(f"--hub-dataset {hub_datasets[0]}: only --format eval-results names data sets")
    if form == "eval-results":
        datasets = dict(_pair(text) for text in hub_datasets)
        return lambda store, out: export_hub(store, out, datasets)
    if form == "every-eval-ever":
        return export_every_eval_ever
    if form == "timm":
        return export_timm
    return lambda store, out: export_tables(store, form, out)


def _pair(text: str) -> tuple[str, str]:
    name, _, theirs = text.partition("=")
    if not name or theirs.count("/") != 1:
        raise InputError(f"--hub-dataset {text}: should be NAME=OWNER/NAME, as in digits=me/digits")
    return name, theirs
