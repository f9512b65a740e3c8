"""What models cost beside each other: in one setting, at one accuracy, and with the number of tokens."""

from collections.abc import Iterable, Iterator
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from bench.analysis.claims.contestants import Contestant, Measured, equal_flops, flops_of, has
from bench.analysis.claims.estimate import Estimate, of_pair
from bench.analysis.claims.uncertain import (
    ALPHA,
    Uncertain,
    difference,
    exact,
    line,
    of_t,
    of_values,
    pseudo_values,
    unsure,
)
from bench.runtimes import TORCH

if TYPE_CHECKING:
    from bench.spec.claim import Cost, EqualAccuracy, Exponent

SETTING = ["mode", "device", "machine", "precision", "compiled", "batch_size", "threads", "torch"]
FEWEST_SIZES = 3
FEWEST_TOKENS = 3


def cost(evidence: "Cost", measured: Measured) -> Iterator[Estimate]:
    """See `bench.spec.claim.Cost`: one estimate a pair of models and setting."""
    flops = flops_of(measured.tables["cost"])
    rows = _rows(measured, evidence.of, evidence.mode)
    keys = [*SETTING, "input_size", "classes"]
    for key, own in rows.groupby(keys, dropna=False, sort=False):
        setting = dict(zip(keys, key, strict=True))
        for a, b in product(own.to_dict("records"), repeat=2):
            first, second = (_facts(measured, row) for row in (a, b))
            if not (has(first, evidence.a) and has(second, evidence.b)):
                continue
            both = [flops.get((row["model"], row["classes"], row["input_size"])) for row in (a, b)]
            if evidence.flops is not None and not equal_flops(both[0], both[1], evidence.flops):
                continue
            titles = f"{a['title']} against {b['title']}"
            yield Estimate(
                evidence,
                _ratio(evidence.of, a, b),
                "ratio",
                {"evidence": evidence.name, "setting": _named(setting), "models": titles},
                (frozenset([a["model"]]), frozenset([b["model"]])),
                titles,
                (a["profile"], b["profile"]),
                both[0] / both[1] if both[0] and both[1] else None,
            )


def equal_accuracy(evidence: "EqualAccuracy", measured: Measured) -> Iterator[Estimate]:
    """See `bench.spec.claim.EqualAccuracy`: one estimate a subset and setting; by Student's t over jackknifed
    replicates, as if costs were known exactly. What one process takes of a computer's memory is not: there
    is no interval then."""
    groups: dict[tuple[Any, ...], list[list[Contestant]]] = {}
    for one in measured.contestants:
        if one.untrained or not measured.is_of_size(one, evidence):
            continue
        key = (*one.group, *(one.facts.get(name) for name in evidence.alike))
        sides = groups.setdefault(key, [[], []])
        for side, wanted in zip(sides, (evidence.a, evidence.b), strict=True):
            if has(one.facts, wanted):
                side.append(one)
    for first, second in groups.values():
        if min(len(first), len(second)) < FEWEST_SIZES:
            continue
        for setting, costs, known in _costs(evidence, measured, first + second):
            number, runs = _at_equal_accuracy(first, second, costs)
            if number is not None:
                titles = " and ".join(_range(side) for side in (first, second))
                yield of_pair(
                    evidence, number if known else unsure(number.value), "ratio", first[0], second[0], runs,
                    {"setting": setting, "models": titles}, (first, second),
                )  # fmt: skip


def exponent(evidence: "Exponent", measured: Measured) -> Iterator[Estimate]:
    """See `bench.spec.claim.Exponent`: one estimate a model and setting."""
    rows = measured.tables["scaling"]
    rows = rows[(rows["mode"] == evidence.mode) & rows["as_trained"].fillna(True).astype(bool)]
    rows = rows[rows["tokens"].between(*evidence.tokens)]
    if evidence.of == "time":
        rows = _undisturbed(rows)
    cost = 1 / rows["images_per_s"] if evidence.of == "time" else _memory(rows)
    rows = rows.assign(cost=cost).dropna(subset=["cost"])
    for (model, *key), own in rows.groupby(["model", *SETTING], dropna=False, sort=False):
        if own["tokens"].nunique() < FEWEST_TOKENS or not has(_facts(measured, own.iloc[0]), evidence.a):
            continue
        slope, _, error = line(np.log(own["tokens"].astype(float)), np.log(own["cost"].astype(float)))
        title = own["title"].iloc[0]
        sizes = f"{own['tokens'].min()} to {own['tokens'].max()} tokens"
        setting = f"{_named(dict(zip(SETTING, key, strict=True)))}, {sizes}"
        yield Estimate(
            evidence,
            of_t(slope, error, len(own) - 2),
            "exponent",
            {"evidence": evidence.name, "setting": setting, "models": title},
            (frozenset([str(model)]), frozenset()),
            title,
            tuple(own["profile"]),
        )


def _rows(measured: Measured, of: str, mode: str) -> pd.DataFrame:
    """The rows of a mode that were measured as trained and undisturbed, with a column `value`."""
    table = measured.tables["memory" if of == "memory" else "speed"]
    table = table[(table["mode"] == mode) & (table["outcome"] == "measured")]
    table = table[table["runtime"] == TORCH]
    table = table[table["as_trained"].fillna(False).astype(bool)]
    if of != "memory":
        table = _undisturbed(table)
    value = {
        "time": lambda: 1 / table["images_per_s"],
        "energy": lambda: table["energy_j_per_image"],
        "memory": lambda: _memory(table),
    }[of]()
    return table.assign(value=value).dropna(subset=["value"])


def _undisturbed(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows whose speed is to be trusted: stable, on a machine that did nothing else, after a warm-up that
    settled."""
    disturbed = rows["unstable"].fillna(False) | rows["busy"].fillna(False) | ~rows["steady"].fillna(True)
    return rows[~disturbed.astype(bool)]


def _memory(table: pd.DataFrame) -> pd.Series:
    """Peak memory in MiB: allocated on a GPU, resident on a CPU."""
    return table["peak_allocated_mib"].fillna(table["peak_rss_mib"])


def _ratio(of: str, a: dict[str, Any], b: dict[str, Any]) -> Uncertain:
    """The logarithm of the ratio of two rows; with an interval where several processes were timed. What a
    GPU's allocator counts is exact; what one process takes of a computer's memory is not."""
    log_ratio = float(np.log(a["value"] / b["value"]))
    if of == "memory" and not pd.isna([row["peak_allocated_mib"] for row in (a, b)]).any():
        return exact(log_ratio)
    ends = [row.get(f"images_per_s_{end}") for row in (a, b) for end in ("low", "high")]
    if of != "time" or pd.isna(ends).any():
        return unsure(log_ratio)
    parts = []
    for row in (a, b):
        freedom = row["processes"] - 1
        low, high = row["images_per_s_low"], row["images_per_s_high"]
        error = (high - low) / (high + low) / float(stdtrit(freedom, 1 - ALPHA / 2))
        parts.append((float(np.log(row["value"])), error, float(freedom)))
    return difference(parts[0], parts[1])


def _costs(
    evidence: "EqualAccuracy", measured: Measured, every: list[Contestant]
) -> Iterator[tuple[str, dict[str, float], bool]]:
    """By setting, the cost of every contestant's model, where all were measured, and whether it is exact, or
    as good as that: all but the memory of one process."""
    models = {one.cell.model for one in every}
    if evidence.of == "flops":
        flops = {one.cell.model: one.flops for one in every if one.flops}
        if flops.keys() == models:
            yield "FLOPs", flops, True
        return
    rows = _rows(measured, evidence.of, evidence.mode)
    rows = rows[rows["input_size"] == every[0].cell.input_size]
    keys = [*SETTING, "classes"]
    for key, own in rows.groupby(keys, dropna=False, sort=False):
        costs = dict(zip(own["model"], own["value"].astype(float), strict=True))
        if models <= costs.keys():
            counted = evidence.of != "memory" or bool(own["peak_allocated_mib"].notna().all())
            yield _named(dict(zip(keys, key, strict=True))), costs, counted


def _at_equal_accuracy(
    first: list[Contestant], second: list[Contestant], costs: dict[str, float]
) -> tuple[Uncertain | None, tuple[str, ...]]:
    """The logarithm of the ratio of costs at the middle of the accuracies that both sides reach, on lines
    through the mean accuracies, and the runs; None where they reach none, or where more cost does not give
    more accuracy."""
    every = first + second
    by_seeds = [{one.seeds: one.record for one in c.cell.replicates if one.record} for c in every]
    common = [seeds for seeds in by_seeds[0] if all(seeds in own for own in by_seeds)]
    logs = np.log([costs[one.cell.model] for one in every])
    sides = slice(None, len(first)), slice(len(first), None)
    if not common or min(np.ptp(logs[side]) for side in sides) == 0:
        return None, ()
    top1 = np.array([[own[seeds].top1 for own in by_seeds] for seeds in common])

    def log_ratio(replicates: list[int]) -> np.ndarray:
        mean = top1[replicates].mean(0)
        low, high = max(mean[side].min() for side in sides), min(mean[side].max() for side in sides)
        lines = [line(logs[side], mean[side]) for side in sides]
        if low > high or min(slope for slope, _, _ in lines) <= 0:
            return np.array([np.nan])
        a, b = (((low + high) / 2 - intercept) / slope for slope, intercept, _ in lines)
        return np.array([a - b])

    value = float(log_ratio(list(range(len(common))))[0])
    if np.isnan(value):
        return None, ()
    values = pseudo_values(log_ratio, len(common)).ravel()
    runs = tuple(own[seeds].id for own in by_seeds for seeds in common)
    return of_values(values) if np.isfinite(values).all() else unsure(value), runs


def _range(side: Iterable[Contestant]) -> str:
    return ", ".join(one.cell.title for one in side)


def _facts(measured: Measured, row: Any) -> dict[str, Any]:
    """What is known of a measured model."""
    model = row["model"]
    return {"kind": measured.kinds.get(model), "family": row["family"], "model": model}


def _named(setting: dict[str, Any]) -> str:
    """Such as "infer, batch 8, 224 px, fp32, cpu"."""
    size = f"{setting['input_size']} px, " if "input_size" in setting else ""
    return (
        f"{setting['mode']}, batch {setting['batch_size']}, {size}{setting['precision']}, "
        f"{setting['machine']}"
    )
