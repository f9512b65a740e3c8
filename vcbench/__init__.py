"""VCBench in Python: run a suite, open what was measured, and get it as DataFrames and figures.

    import vcbench

    results = vcbench.run("quick")
    results.accuracy.groupby(["model", "train_images"])["top1"].mean()
    results.plot("data_efficiency")
    vcbench.evaluate(my_network, my_transform, dataset="digits", results=results)

The functions of the command line stand behind it, so that both write and read the same run stores. Importing
it imports neither PyTorch nor pandas.
"""

import sys
import threading
import warnings
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bench import __version__
from vcbench.results import Results

if TYPE_CHECKING:
    from bench.exchange.evaluate import Network, Score, Transform
    from bench.picking.answer import Answer
    from bench.spec.suite import Suite

HEAVY = "bench.running.execute"
"""With it come PyTorch, timm, pandas, scikit-learn and most of the harness."""

__all__ = ["Results", "__version__", "evaluate", "load_suite", "open", "pick", "run", "save_images"]


def load_suite(
    suite: "str | Path | Mapping[str, Any] | Suite", settings: Mapping[str, Any] | None = None
) -> "Suite":
    """A suite, checked.

    Args:
        suite: the name of a bundled suite, the path of a TOML file, or a mapping like such a file with a
            `name`.
        settings: changes to it, as `--set` makes them; the suite becomes a variant, `NAME+HASH`.

    Raises:
        InputError: no such suite, a key that is wrong, or a setting that does not fit.

    Example:
        >>> suite = vcbench.load_suite("quick", {"recipe.budget.epochs": 2})
        >>> [comparison.name for comparison in suite.comparison]
        ['digits']
    """
    from bench.errors import InputError
    from bench.spec.overrides import setting_of
    from bench.spec.suite import Suite
    from bench.spec.suite import load_suite as load

    if isinstance(suite, Suite):
        if settings:
            raise InputError(f"{suite.name}: is loaded already; give its settings to vcbench.load_suite")
        return suite
    if settings is not None and not isinstance(settings, Mapping):
        raise InputError(
            f"settings: should be a mapping such as {{'recipe.budget.epochs': 2}}, not {settings!r}"
        )
    texts = tuple(setting_of(key, value) for key, value in (settings or {}).items())
    loaded = load(suite if isinstance(suite, Mapping) else str(suite), texts)
    loaded.check_recipes()
    return loaded


def run(
    suite: "str | Path | Mapping[str, Any] | Suite",
    results: str | Path = "results",
    *,
    settings: Mapping[str, Any] | None = None,
    data_dir: str | Path | None = None,
    weights_dir: str | Path | None = None,
    device: str = "auto",
    replicates: int | None = None,
    only: Sequence[str] = (),
    jobs: int | Literal["auto"] = 1,
    engine: str | None = None,
    address: str | None = None,
    gpus_per_trial: int = 1,
    budget: str | None = None,
    progress: bool | None = None,
    track: str | None = None,
) -> Results:
    """Do what is missing of a suite in a run store, write its tables, and open the store.

    Ctrl-C ends it with what was done kept; the same call goes on from there.

    Args:
        suite, settings: as for `load_suite`.
        results: the run store, which is made where there is none.
        data_dir: where datasets lie; None is $VCBENCH_DATA, else data/.
        weights_dir: where weight files lie; None is weights/ in the data folder.
        device: "auto" (CUDA, else the CPU), "cpu", "cuda" or "mps".
        replicates: of every cell, instead of the suite's own number.
        only: names of comparisons and models; "profiles" is what is measured without training.
        jobs: trials at once, each in a process of its own; "auto" is one a core, on a GPU as many as fit its
            memory. With several, a script needs `if __name__ == "__main__":`, as it always does with
            multiprocessing.
        engine: "in_process", "processes" or "ray"; None takes one of the first two.
        address: of the Ray cluster; None begins one on this machine.
        gpus_per_trial: how many GPUs of a machine train a network together.
        budget: when to stop cleanly, such as "90s", "30m" or "1h30m".
        progress: whether to show bars; None shows them on a terminal and in a notebook. A notebook needs
            ipywidgets for bars, and shows a line a trial without it.
        track: "tensorboard", "wandb", "mlflow" or "trackio": each trial is written for it while it trains,
            offline in the folder trackers/NAME of the store.

    Returns:
        The store, with this suite as the one that is plotted. Trials that could not be run are warned of and
        are tried again by the next call.

    Raises:
        InputError, DataError, WeightsError: the suite is wrong, or what it needs is not here; the budget was
            spent before the first trial.
        StoreError: results cannot be written; nothing done is lost.
        KeyboardInterrupt: after Ctrl-C, or another signal to end.

    Example:
        >>> results = vcbench.run("quick", "results", replicates=1, budget="10m")
    """
    from bench.cli.common import duration
    from bench.cli.progress import Ended, Stop
    from bench.cli.running import run_and_tabulate
    from bench.errors import InputError

    loaded = load_suite(suite, settings)
    stop = Stop(duration(str(budget), "budget") if budget is not None else None)
    if not (jobs is None or jobs == "auto" or isinstance(jobs, int)):
        raise InputError(f"jobs = {jobs!r}: should be a number, or auto")
    # Python gives signals to the main thread alone.
    main_thread = threading.current_thread() is threading.main_thread()
    try:
        with stop.on_signals() if main_thread else nullcontext():
            with stop.later():
                import_module(HEAVY)
            counts = run_and_tabulate(
                loaded,
                _file_of(suite),
                Path(results),
                data_dir=None if data_dir is None else Path(data_dir),
                weights_dir=None if weights_dir is None else Path(weights_dir),
                device=device,
                replicates=replicates,
                only=(only,) if isinstance(only, str) else only,
                jobs=jobs,
                engine=engine,
                address=address,
                gpus_per_trial=gpus_per_trial,
                stop=stop,
                warn=_warn,
                quiet=not (_is_watched() if progress is None else progress),
                track=track,
            )
    except Ended:
        if stop.interrupted:
            raise KeyboardInterrupt from None
        raise InputError(f"the budget of {budget} was spent before the first trial could begin") from None
    if stop.interrupted:
        raise KeyboardInterrupt
    if counts["errored"]:
        _warn(f"{loaded.name}: {counts['errored']} trials errored; see: vcbench status --results {results}")
    return Results(results, loaded.name)


def open(results: str | Path = "results", suite: str | None = None) -> Results:
    """Open a run store.

    Args:
        results: its folder.
        suite: which of its suites is plotted; it may be left out where the store has one.

    Raises:
        StoreError: there is no run store.
        InputError: nothing of the suite was run in it.

    Example:
        >>> vcbench.open("results/published").contrasts[["suite", "a", "b", "verdict"]]
    """
    from bench.cli.common import existing_store

    return Results(existing_store(Path(results)), suite)


def evaluate(
    model: "Network",
    transform: "Transform | None" = None,
    *,
    dataset: str,
    split_id: str | None = None,
    name: str = "mine",
    results: str | Path | Results = "results",
    data_dir: str | Path | None = None,
    batch_size: int = 64,
) -> "Score":
    """Score a network of your own on a test split, and compare it with the stored runs, image by image.

    Its predictions are kept in the run store, as `vcbench score` keeps those of a file, so that reports show
    it. This is a look at the test split: choose your network before it.

    Args:
        model: any `nn.Module` or function, float (batch, channels, h, w) to logits (batch, classes), the
            classes in the order of `vcbench data list`.
        transform: a PIL image to a tensor (channels, h, w); None gives RGB in 0..1 in the size of the image.
        dataset: its name, "folder:PATH" or "table:FILE".
        split_id: which division of the images; None is the dataset's default, for images of one's own that of
            the results in the store.
        name: what to call the network.
        results: the run store, or what `vcbench.open` gave.
        data_dir: where datasets lie; None is $VCBENCH_DATA, else data/.
        batch_size: images at once.

    Returns:
        Its `top1`, `metrics`, a sentence to cite (`text`), and `against`, a DataFrame with a row a stored
        model on the same test images: the difference and its 95 % interval.

    Raises:
        InputError: images or logits of the wrong shape; no such dataset; the store has other predictions of
            this name.
        DataError: the images are not there or damaged.
        StoreError: the store cannot be written.

    Example:
        >>> score = vcbench.evaluate(network, transform, dataset="flowers102", name="my-resnet")
        >>> score.against[["title", "shots", "top1", "difference", "low", "high"]]
    """
    from bench.cli.common import data_folder
    from bench.data.meant import open_meant
    from bench.exchange.evaluate import evaluate as score
    from bench.store.run_store import RunStore

    store = RunStore(results.path if isinstance(results, Results) else Path(results))
    folder = data_folder(None if data_dir is None else Path(data_dir))
    opened = open_meant(dataset, split_id, folder, store=store.root)
    return score(model, transform, opened, store, name, batch_size)


def pick(
    data: str | Path,
    budget: str = "10m",
    *,
    models: Sequence[str] = (),
    max_params: float | None = None,
    max_latency_ms: float | None = None,
    input_size: int = 224,
    out: str | Path | None = None,
    results: str | Path = "results",
    data_dir: str | Path | None = None,
    weights_dir: str | Path | None = None,
    device: str = "auto",
    progress: bool | None = None,
) -> "Answer":
    """Pick a backbone for images of your own within a budget, as `vcbench pick` does.

    Args:
        data: a folder of images, a table of them, or the name of a dataset.
        budget: when to have the answer, such as "90s", "10m" or "1h30m".
        models: the candidates; by default pretrained ViTs and CNNs whose weights are here or can be fetched.
        max_params: the most parameters.
        max_latency_ms: the most milliseconds of one image here.
        input_size: in px.
        out: the file of the suite that goes on; by default pick-NAME.toml.
        results: the run store.
        data_dir, weights_dir, device, progress: as for `run`.

    Returns:
        The answer: printed, in sentences; `table`, a DataFrame with a row a model; `best`, a model's name;
        `figure()`; `suite`, the file that `run` takes to go on; `next`, the command for that.

    Raises:
        InputError: an unknown model, or a budget that is too small, which says how much it takes.
        DataError, WeightsError: images or weights are not here or damaged.
        KeyboardInterrupt: after Ctrl-C, before there was anything to say.

    Example:
        >>> answer = vcbench.pick("photos", budget="10m", max_params=30e6)
        >>> print(answer)
        >>> vcbench.run(answer.suite)
    """
    from bench.cli.common import duration
    from bench.cli.picking import Place, pick_backbone
    from bench.cli.progress import Ended, Stop
    from bench.errors import InputError

    stop = Stop(duration(str(budget), "budget"))
    main_thread = threading.current_thread() is threading.main_thread()
    place = Place(
        Path(results),
        None if data_dir is None else Path(data_dir),
        None if weights_dir is None else Path(weights_dir),
        device,
    )
    try:
        with stop.on_signals() if main_thread else nullcontext():
            with stop.later():
                import_module(HEAVY)
            return pick_backbone(
                str(data),
                place,
                stop,
                models=list(models),
                max_params=max_params,
                max_latency_ms=max_latency_ms,
                input_size=input_size,
                out=None if out is None else Path(out),
                quiet=not (_is_watched() if progress is None else progress),
            )
    except Ended:
        if stop.interrupted:
            raise KeyboardInterrupt from None
        raise InputError(f"the budget of {budget} was spent before the images were listed") from None


def save_images(
    folder: str | Path,
    train: Any,
    test: Any = None,
    val: Any = None,
    *,
    class_names: Sequence[str] | None = None,
) -> str:
    """Write the images of PyTorch Datasets as a folder of PNG files, whose name suites and `evaluate` take.

    Args:
        folder: where to write; it must not be there yet.
        train, test, val: what has a length and gives (image, label) by position: an image of PIL, an array
            uint8 (h, w, 3), or a tensor (3, h, w) of uint8 or of 0 to 1, not normalised or augmented;
            labels are class numbers from 0. Each is read twice. Without test, train is divided.
        class_names: one a class; by default `train.classes` where it has some, else the numbers. Where they
            are not in the order of their text, their numbers are put before them.

    Returns:
        "folder:PATH".

    Raises:
        InputError: the folder exists, or an image, a label or a class name is of another kind.
        StoreError: the files cannot be written.

    Example:
        >>> name = vcbench.save_images("photos", my_train_set, my_test_set)
        >>> vcbench.evaluate(network, transform, dataset=name)
    """
    from bench.data.saving import save_images as save

    given = {"train": train, "val": val, "test": test}
    splits = {split: images for split, images in given.items() if images is not None}
    return save(Path(folder), splits, class_names)


def _is_watched() -> bool:
    """Whether somebody sees what is written to standard error: on a terminal or in a notebook."""
    from bench.cli.progress import in_notebook

    return sys.stderr.isatty() or in_notebook()


def _file_of(suite: Any) -> Path | None:
    """The file of a suite of one's own."""
    from bench.spec.suite import own_file

    return own_file(str(suite)) if isinstance(suite, str | Path) else None


def _warn(line: str) -> None:
    warnings.warn(line, stacklevel=3)
