"""What a run store holds, as DataFrames and figures."""

from functools import cached_property, partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from bench.inspection.gallery import Gallery
    from bench.report.evidence import Evidence
    from bench.store.run_store import RunStore


class Results:
    """The tables of a run store, and the figures of one of its suites.

    The tables are those that `vcbench tables` writes, made from the store when the first of them is asked
    for; open the store again to see what was added since. Fractions are in 0..1, units are in the names of
    columns, and what was not measured is missing (NaN or NA). A table of which nothing was measured has no
    rows.

    Attributes:
        path: the folder of the store.
        suite: the suite that is plotted; None where there are several and none was named.

    Example:
        >>> results = vcbench.open("results/published", "cpu")
        >>> finished = results.accuracy.query("suite == 'cpu' and outcome == 'finished'")
        >>> finished.pivot_table("top1", "model", ["dataset", "shots"])
    """

    def __init__(self, path: str | Path, suite: str | None = None) -> None:
        from bench.errors import InputError, did_you_mean

        self.path = Path(path)
        known = self.suites
        if suite is not None and suite not in known:
            raise InputError(f'{path}: nothing of a suite "{suite}" was run here{did_you_mean(suite, known)}')
        self.suite = known[0] if suite is None and len(known) == 1 else suite

    @property
    def _store(self) -> "RunStore":
        from bench.store.run_store import RunStore

        return RunStore(self.path)

    @property
    def suites(self) -> list[str]:
        """The names of the suites of which something was run."""
        return sorted(self._store.suites())

    @cached_property
    def tables(self) -> "dict[str, pd.DataFrame]":
        """All tables by name; averages of networks (`ensembles`) and external predictions (`brought`) are
        among them where there are some.

        Raises:
            StoreError: the store cannot be read.
        """
        from bench.tables.tables import build_tables

        return build_tables(self._store)

    @property
    def accuracy(self) -> "pd.DataFrame":
        """One row a finished or diverged trial and suite: `suite`, `comparison`, `contestant`, `model`,
        `shots`, `train_images`, `replicate`, `top1`, `top5`, `mean_per_class`, `nll` (nats), `ece`,
        `not_trained`, ...

        Example:
            >>> results.accuracy.groupby(["dataset", "model", "train_images"])["top1"].agg(["mean", "std"])
        """
        return self.tables["accuracy"]

    @property
    def contrasts(self) -> "pd.DataFrame":
        """One row a pair of models that a suite compares on a subset: `a`, `b`, `difference` (of top-1, a
        minus b), its 95 % interval `low` to `high`, `verdict`, ...

        Example:
            >>> results.contrasts.query("primary")[["a", "b", "shots", "difference", "verdict"]]
        """
        return self.tables["contrasts"]

    @property
    def baselines(self) -> "pd.DataFrame":
        """One row a subset, with the accuracy of what needs no training: `majority_top1`, `nearest_top1`.

        Example:
            >>> results.baselines[["dataset", "train_images", "chance_top1", "nearest_top1"]]
        """
        return self.tables["baselines"]

    @property
    def cost(self) -> "pd.DataFrame":
        """One row a model, head and input size (px): `params`, `flops` (2 x multiply-adds), `gmacs`, ...

        Example:
            >>> results.cost.sort_values("gmacs")[["model", "input_size", "params", "gmacs"]]
        """
        return self.tables["cost"]

    @property
    def speed(self) -> "pd.DataFrame":
        """One row a setting and machine: `images_per_s` with its interval, `latency_ms_median`, ...

        Example:
            >>> results.speed.query("as_trained")[["model", "mode", "batch_size", "images_per_s", "unstable"]]
        """
        return self.tables["speed"]

    @property
    def memory(self) -> "pd.DataFrame":
        """One row a setting and machine: `peak_allocated_mib` on a GPU, `peak_rss_mib` on a CPU, ...

        Example:
            >>> results.memory.query("mode == 'train'")[["model", "batch_size", "peak_rss_mib"]]
        """
        return self.tables["memory"]

    @property
    def scaling(self) -> "pd.DataFrame":
        """One row a model and input size (px): how `gmacs`, `images_per_s` and memory grow with it.

        Example:
            >>> results.scaling.pivot_table("gmacs", "input_size", "model")
        """
        return self.tables["scaling"]

    @property
    def end_to_end(self) -> "pd.DataFrame":
        """One row a setting and machine, from JPEG bytes to labels: `decode_ms`, `transform_ms`, ...

        Example:
            >>> results.end_to_end[["model", "images_per_s", "decode_share"]]
        """
        return self.tables["end_to_end"]

    @property
    def loading(self) -> "pd.DataFrame":
        """One row a setting and machine: `images_per_s` of the data path without a network.

        Example:
            >>> results.loading[["path", "machine", "images_per_s"]]
        """
        return self.tables["loading"]

    @property
    def history(self) -> "pd.DataFrame":
        """One row a step that a trial logged: `run`, `step`, `epoch`, `loss`, `lr`, `val_top1`, ...

        Example:
            >>> results.history.query("run == @run").plot("epoch", "loss")
        """
        return self.tables["history"]

    @property
    def search(self) -> "pd.DataFrame":
        """One row a combination of recipe values that was tried for a model and subset: `values`, `val_top1`,
        `chosen`, ...

        Example:
            >>> results.search.query("chosen")[["contestant", "shots", "values"]]
        """
        from bench.analysis.search import SEARCH
        from bench.frames import frame

        return self.tables.get("search", frame([], SEARCH))

    @property
    def claims(self) -> "pd.DataFrame":
        """One row a common claim about ViTs and CNNs: `sentence`, `verdict`, `depends_on`, `estimate` with
        its 95 % interval `low` to `high`, `limits`, ... The numbers behind: `tables["claim_numbers"]`.

        Example:
            >>> results.claims[["number", "sentence", "verdict"]]
        """
        return self.tables["claims"]

    @property
    def robustness(self) -> "pd.DataFrame":
        """One row a model, subset and condition, over all levels of the condition: `clean_top1`, `top1`, ...

        Example:
            >>> results.robustness.pivot_table("top1", "condition", "contestant")
        """
        from bench.analysis.robustness import ROBUSTNESS
        from bench.frames import frame

        return self.tables.get("robustness", frame([], ROBUSTNESS))

    def plot(self, name: str, which: str | None = None) -> "Figure":
        """A figure of the suite's report, drawn anew.

        Args:
            name: such as "data_efficiency", "contrasts" or "learning_curves"; the answer to a wrong
                name is all there are.
            which: for which data set or comparison, where there are several (as in the name of the file).

        Returns:
            A matplotlib figure, which no window shows: save it with `savefig`. A notebook shows it.

        Raises:
            InputError: no such figure, or several; the store has several suites and none was named.

        Example:
            >>> figure = vcbench.open("results/published", "cpu").plot("data_efficiency", "flowers102")
            >>> figure.savefig("data_efficiency.pdf")
        """
        from bench.report.plots import draw

        figure = draw(self._store, self._one_suite(), name, which)
        # Notebooks show figures of pyplot by themselves, and any object by this.
        figure._repr_png_ = partial(_png, figure)  # type: ignore[attr-defined]
        return figure

    def report(self, folder: str | Path, *, for_paper: bool = False) -> Path:
        """Write the suite's report, as `vcbench report` does; needs neither data nor PyTorch.

        Args:
            folder: where to.
            for_paper: also figures as PDF and PNG, tables and macros for LaTeX.

        Returns:
            The page, folder/index.html.

        Raises:
            InputError: the store has several suites and none was named.
            StoreError: the folder cannot be written.

        Example:
            >>> results.report("reports/mine")
        """
        from bench.report.render import render

        render(self._store, self._one_suite(), Path(folder), for_paper=for_paper)
        return Path(folder) / "index.html"

    def inspect(
        self,
        model: str,
        beside: str | None = None,
        *,
        image: str | Path | None = None,
        dataset: str | None = None,
        index: int = 0,
        split: str = "val",
        out: str | Path | None = None,
        weights: str | None = None,
        data_dir: str | Path | None = None,
        weights_dir: str | Path | None = None,
        device: str = "auto",
        **options: Any,
    ) -> "Gallery":
        """Draw what is inside a network, as `vcbench inspect` does: attention, filters, evidence for a class.

        Args:
            model, beside: a model card, a model of timm, or the id of a run of this store whose weights were
                kept; the second is drawn in the same pictures.
            image: any image file, or "flower", "apart" or "texture", which are drawn here; None is an image
                of the dataset, else "flower".
            dataset: where the image, averages and probes come from.
            index, split: which image of it; the split is "train" or "val".
            out: a folder to write page, PNG, SVG and CSV to; None writes nothing.
            weights: "card", "none" or "file:PATH" of a model; None is "card" where there are pretrained ones.
            data_dir, weights_dir, device: as for `vcbench.run`.
            options: `wanted` (the class whose evidence is drawn), `patch` (row and column from 1, whose
                attention is drawn), `images` (of averages), `input_size` (px).

        Returns:
            Its pictures, `gallery.pictures`, each with its `drawing` (a matplotlib figure) and `data` (a
            DataFrame); `gallery["attention-class"]` is one of them; `gallery.left_out` says what the network
            does not have.

        Raises:
            InputError, DataError: no such model, run, image or class.
            WeightsError: the weights are not here.
            StoreError: the folder cannot be written.

        Example:
            >>> gallery = vcbench.open("results").inspect("deit_tiny_patch16_224", image="photo.jpg")
            >>> gallery["distance"].data.groupby("block")["distance_px"].mean()
        """
        from bench.cli.common import data_folder, weights_folder
        from bench.inspection.gallery import draw
        from bench.inspection.opening import Request, open_views
        from bench.machine import choose_device

        folder = data_folder(None if data_dir is None else Path(data_dir))
        request = Request(
            (model, *([beside] if beside else [])),
            image=None if image is None else str(image),
            dataset=dataset,
            index=index,
            split=split,
            weights=weights,
            **options,
        )
        views, probes = open_views(
            request,
            results=self.path,
            data_dir=folder,
            weights_dir=weights_folder(None if weights_dir is None else Path(weights_dir), folder),
            device=choose_device(device),
        )
        gallery = draw(views, probes)
        if out is not None:
            gallery.write(out)
        return gallery

    def _one_suite(self) -> str:
        """The suite that is plotted and reported.

        Raises:
            InputError: there are several and none was named.
        """
        from bench.errors import InputError

        if self.suite is None:
            raise InputError(
                f"{self.path}: name the suite, as in vcbench.open({str(self.path)!r}, "
                f"{(self.suites or ['quick'])[0]!r}) (it has {', '.join(self.suites) or 'none yet'})"
            )
        return self.suite

    @cached_property
    def _evidence(self) -> "Evidence":
        from bench.report.evidence import gather

        return gather(self._store, self._one_suite())

    @property
    def answer(self) -> str:
        """What to take, by the suite's results: a paragraph a data set, and one for the limits.

        Raises:
            InputError: the store has several suites and none was named.

        Example:
            >>> print(vcbench.open("results/published", "cpu").answer)
        """
        from bench.report.recommendation import answer

        return answer(self._evidence)

    def _repr_html_(self) -> str:
        """For a notebook: the first level of the suite's report, or the names of several suites."""
        from markupsafe import escape

        if self.suite is None:
            return f"<code>{escape(repr(self))}</code>"
        from vcbench.notebook import first_level

        return first_level(self._evidence)

    def __repr__(self) -> str:
        named = "" if self.suite is None else f", suite={self.suite!r}"
        return f"<vcbench.Results {str(self.path)!r}{named}, of {', '.join(self.suites) or 'no suite yet'}>"


def _png(figure: "Figure") -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
