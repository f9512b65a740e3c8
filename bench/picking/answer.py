"""A pick as an answer, a table, and a record that says where the numbers are from."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from bench.analysis.groups import letters
from bench.machine import commit, device_name, machine_name, versions
from bench.picking.pick import Entered, Picked
from bench.picking.trained import Key, Trained, best_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = {
    "model": "str",
    "title": "str",
    "family": "str",
    "kind": "str",
    "params": "Int64",
    "upstream_top1": "float",
    "images_per_s": "float",
    "batch": "Int64",
    "latency_ms": "float",
    "memory_mib": "float",
    "sample": "Int64",
    "cv_top1": "float",
    "knn_top1": "float",
    "unseen": "Int64",
    "top1": "float",
    "low": "float",
    "high": "float",
    "group": "str",
    "pareto": "boolean",
    "finetuned_top1": "float",
    "note": "str",
}


@dataclass(frozen=True)
class Answer:
    """What a pick came to.

    Attributes:
        picked: what was measured.
        sentences: what to take, how sure that is, and what it costs.
        next: the command that would settle it, and about how long it takes.
        suite: the file of the suite that goes on from here.
        measured: what the suite came to; empty where there was no time for it.
        memory: peak of inference in MiB by model, where the suite measured it.

    Example:
        >>> answer = vcbench.pick("photos", budget="10m")
        >>> print(answer)
        >>> answer.table[["title", "top1", "low", "high", "images_per_s", "group"]]
    """

    picked: Picked
    sentences: list[str]
    next: str
    suite: Path
    measured: Mapping[Key, Trained]
    memory: Mapping[str, float]

    @property
    def best(self) -> str:
        """That of the pick; where the best were trained on all images, the best of them on val."""
        return best_of(self.measured, self.picked.survivors[0])[1] if self.measured else self.picked.best

    @cached_property
    def table(self) -> pd.DataFrame:
        """See `table`."""
        tuned = {model: one.top1 for (recipe, model), one in self.measured.items() if recipe == "finetune"}
        return table(self.picked, tuned, self.memory)

    @property
    def left_out(self) -> list[str]:
        """Which models took no part and why, in lines."""
        return left_out(self.picked)

    def figure(self) -> "Figure":
        """Accuracy against images per second of those that were left, with 95 % intervals."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6.4, 4), layout="constrained")
        axes = figure.subplots()
        for row in self.table.dropna(subset=["group"]).itertuples():
            (low, high), top1 = self.picked.interval(row.model), self.picked.accuracy(row.model)
            colour = {"cnn": "#c2571a", "transformer": "#2f6db5"}.get(row.kind, "#555555")
            axes.errorbar(
                row.images_per_s,
                100 * top1,
                [[100 * (top1 - low)], [100 * (high - top1)]],
                fmt="o",
                color=colour,
            )
            axes.annotate(
                row.title, (row.images_per_s, 100 * top1), (6, 6), textcoords="offset points", color=colour
            )
        axes.set_xlabel(f"images/s here, {self.picked.input_size} px")
        axes.set_ylabel("top-1 of a linear probe, %")
        axes.margins(x=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        return figure

    def __str__(self) -> str:
        return " ".join([*self.sentences, self.next])

    def _repr_html_(self) -> str:
        """For a notebook: the answer and the table."""
        from markupsafe import escape

        columns = ["title", "params", "images_per_s", "cv_top1", "top1", "low", "high", "group", "pareto"]
        shown = (
            self.table[columns].dropna(subset=["cv_top1"]).to_html(index=False, float_format="{:.3g}".format)
        )
        return f"<p>{escape(str(self))}</p>{shown}"


def table(
    picked: Picked, finetuned: Mapping[str, float] | None = None, memory: Mapping[str, float] | None = None
) -> pd.DataFrame:
    """One row a model: those that were judged in the order of the race, then by how far they came.

    `cv_top1` and `knn_top1` are cross-validated on `sample` training images; `top1` with its 95 % interval is
    that of the probe on `unseen` images of val; `pareto` says that no other judged model is both as accurate
    and faster. `note` says why others left the race.

    Args:
        finetuned: top-1 on the test split by model, of the first replicate, where models were fine-tuned.
        memory: `memory_mib` by model, where it was measured.
    """
    judged = picked.survivors
    groups = dict(zip(judged, group_letters(picked), strict=True))
    standings = picked.race.standings
    others = sorted(
        (name for name in picked.entered if name not in judged),
        key=lambda name: (-len(standings[name].rounds), -_cv(picked, name)),
    )
    rows = []
    for name in [*judged, *others]:
        one, standing = picked.entered[name], standings[name]
        row = _facts(one) | {"note": standing.left or ""}
        if standing.rounds:
            score = standing.last
            row |= {
                "sample": standing.rounds[-1][0],
                "cv_top1": score.top1,
                "knn_top1": float(score.knn.mean()),
            }
        if one.judged is not None:
            low, high = picked.interval(name)
            row |= {"unseen": len(one.judged), "top1": picked.accuracy(name), "low": low, "high": high}
        if name in judged:
            row |= {"group": groups[name], "pareto": not any(_beats(picked, other, name) for other in judged)}
        if finetuned and name in finetuned:
            row["finetuned_top1"] = finetuned[name]
        if memory and name in memory:
            row["memory_mib"] = memory[name]
        rows.append(row)
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(
        {name: kind for name, kind in COLUMNS.items() if kind != "str"}
    )


def left_out(picked: Picked) -> list[str]:
    """Which models took no part, a line a reason."""
    by_reason: dict[str, list[str]] = {}
    for one in picked.left_out:
        by_reason.setdefault(one.reason, []).append(one.card.title)
    return [f"Left out ({reason}): {', '.join(titles)}" for reason, titles in by_reason.items()]


def _facts(one: Entered) -> dict[str, Any]:
    card = one.candidate.card
    return {
        "model": card.name,
        "title": card.title,
        "family": card.family,
        "kind": card.kind,
        "params": one.candidate.parameters,
        "upstream_top1": card.upstream_top1,
        "images_per_s": one.images_per_s,
        "batch": one.batch,
        "latency_ms": one.latency_ms,
    }


def _cv(picked: Picked, name: str) -> float:
    rounds = picked.race.standings[name].rounds
    return rounds[-1][1].top1 if rounds else 0.0


def _beats(picked: Picked, other: str, name: str) -> bool:
    accurate, fast = picked.accuracy, {key: picked.entered[key].images_per_s for key in (other, name)}
    better = accurate(other) > accurate(name) or fast[other] > fast[name]
    return better and accurate(other) >= accurate(name) and fast[other] >= fast[name]


def group_letters(picked: Picked) -> list[str]:
    """Letters of those that were judged, in the order of the race: those not told apart share one."""
    names = picked.survivors
    apart = [
        (i, j)
        for i in range(len(names))
        for j in range(i + 1, len(names))
        if picked.told_apart(names[i], names[j])
    ]
    return letters(len(names), apart)


def record(picked: Picked, dataset: str) -> dict[str, Any]:
    """All that the answer rests on, as plain data."""
    rounds = {
        name: [
            {"images": size, "probe_top1": score.top1, "knn_top1": float(score.knn.mean()), "l2": score.l2}
            for size, score in standing.rounds
        ]
        for name, standing in picked.race.standings.items()
    }
    return {
        "format": 1,
        "dataset": dataset,
        "data": picked.dataset.fingerprint,
        "split_id": picked.dataset.split_id,
        "images": picked.dataset.counts(),
        "input_size": picked.input_size,
        "precision": picked.precision,
        "device": device_name(picked.device),
        "machine": machine_name(),
        "versions": versions(),
        "commit": commit(),
        "budget_s": picked.budget,
        "spent_s": round(picked.seconds, 1),
        "race_ended": picked.race.ended,
        "rounds": rounds,
        "weights": {name: one.candidate.weights.fingerprint for name, one in picked.entered.items()},
        "val_positions": picked.val.tolist(),
        "judged": {
            name: [int(right) for right in picked.correct(name)]
            for name in picked.survivors
            if picked.entered[name].judged is not None
        },
        "left_out": {one.card.name: one.reason for one in picked.left_out},
    }
