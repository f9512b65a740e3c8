"""Differences of scores between contestants, replicate by replicate and image by image."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from math import log
from typing import TYPE_CHECKING

import numpy as np

from bench.analysis.cells import Cell
from bench.analysis.claims.contestants import Contestant, Measured, alike, has
from bench.analysis.claims.estimate import Estimate, Unit, diverged, of_pair
from bench.analysis.claims.uncertain import Uncertain, of_scores, of_values
from bench.analysis.robustness import by_family
from bench.metrics.calibration import calibration_errors

if TYPE_CHECKING:
    from bench.spec.claim import Scores
    from bench.store.records.trials import Result

CORRUPTIONS = "corruptions"
REACH_OF = ("gradient", "attention")
UNITS: dict[str, Unit] = {
    "loss": "percent",
    "nll": "nats",
    "nll_rise": "nats",
    "gradient": "share",
    "attention": "share",
}
BY_IMAGE = ("top1", "loss", "nll", "ece", "gap")
"""What has a score for each test image; the rest is one number a run."""
FINISHED = ("loss", "ece", "gap")
"""What says nothing of a diverged trial: at chance on every image, it has nothing to lose."""
Seeds = tuple[int | None, int | None]
Term = tuple[int, Contestant]


def scores(evidence: "Scores", measured: Measured) -> Iterator[Estimate]:
    """See `bench.spec.claim.Scores`: one estimate a pair, or a pair and condition."""
    for a, b in measured.pairs(evidence):
        terms = [(1, a)] if a is b else [(1, a), (-1, b)]
        if evidence.versus is not None:
            changed = [_changed(one, evidence, measured) for one in (a, b)]
            known = [one for one in changed if one]
            if len(known) < 2 or not alike(known[0], known[1], evidence):
                continue
            terms += [(-1, known[0]), (1, known[1])]
        conditions = _conditions(evidence, terms)
        for own in [[name] for name in conditions] if evidence.each else [conditions]:
            combined = _combined(evidence, measured, terms, own)
            if combined is not None:
                number, runs = combined
                setting = {"setting": own[0]} if evidence.each else {}
                unit = UNITS.get(evidence.of, "points")
                made = of_pair(evidence, number, unit, a, b, runs, setting)
                if evidence.of in FINISHED:
                    made = replace(made, diverged=diverged(one for _, one in terms))
                yield made


def _changed(one: Contestant, evidence: "Scores", measured: Measured) -> Contestant | None:
    """The same network with what the evidence changes."""
    versus = evidence.versus or {}
    free = {*versus, "pretraining"} if "regime" in versus else {*versus}
    same = [name for name in ("model", *evidence.alike) if name not in free]
    others = [
        other
        for other in measured.by_group[one.group]
        if other is not one
        and has(other.facts, versus)
        and all(other.facts.get(name) == one.facts.get(name) for name in same)
        and not other.untrained
    ]
    return others[0] if others else None


def _combined(
    evidence: "Scores", measured: Measured, terms: list[Term], conditions: list[str]
) -> tuple[Uncertain, tuple[str, ...]] | None:
    """The sum of signed scores over the replicates that all terms have, with the runs; None without any."""
    if evidence.of == "loss" and not conditions:
        return None
    rows = [_rows(evidence, measured, one, conditions) for _, one in terms]
    common = [seeds for seeds in rows[0] if all(seeds in own for own in rows)]
    if not common:
        return None
    table = np.stack(
        [sum(sign * own[seeds][1] for (sign, _), own in zip(terms, rows, strict=True)) for seeds in common]
    )
    runs = tuple(own[seeds][0] for own in rows for seeds in common)
    if evidence.of not in BY_IMAGE:
        known = table[~np.isnan(table[:, 0]), 0]
        return (of_values(known), runs) if len(known) else None
    alone = all(one.cell.deterministic for _, one in terms)
    return of_scores(table, alone, float(len(terms))), runs


def _conditions(evidence: "Scores", terms: list[Term]) -> list[str]:
    """The conditions of the evidence under which all terms were evaluated."""
    common = [name for name in terms[0][1].others if all(name in one.others for _, one in terms)]
    chosen = []
    for family, own in by_family(common).items():
        of_all = CORRUPTIONS in evidence.conditions and own[0].is_corruption
        chosen += [
            one.name
            for one in own
            if of_all or family in evidence.conditions or one.name in evidence.conditions
        ]
    return chosen


def _rows(
    evidence: "Scores", measured: Measured, one: Contestant, conditions: list[str]
) -> dict[Seeds, tuple[str, np.ndarray]]:
    """By the seeds of a replicate: the run, and its scores of all images or its one number, shape (N,)."""
    clean = _by_seeds(one.cell)
    if evidence.of in FINISHED:
        clean = {seeds: record for seeds, record in clean.items() if record.outcome == "finished"}
    if evidence.of not in BY_IMAGE:
        return {
            seeds: (record.id, np.array([_of_run(evidence, measured, record)], float))
            for seeds, record in clean.items()
        }
    if evidence.of == "gap":
        clean = {seeds: record for seeds, record in clean.items() if record.metrics.train_top1 is not None}
    per_image = PER_IMAGE[evidence.of]
    rows: dict[Seeds, tuple[str, np.ndarray]] = {}
    under = [_by_seeds(one.others[name]) for name in conditions]
    for seeds, record in clean.items():
        own = [record, *(results[seeds] for results in under if seeds in results)]
        if len(own) <= len(under) or not all(map(measured.predictions.has_scores, own)):
            continue
        values = [per_image(measured, result) for result in own]
        chance = 1 / record.data.classes
        if not under:
            rows[seeds] = record.id, values[0]
        elif values[0].mean() > chance:
            rows[seeds] = record.id, share_lost(values[0], np.mean(values[1:], 0), chance)
    return rows


def share_lost(clean: np.ndarray, disturbed: np.ndarray, chance: float) -> np.ndarray:
    """What a network loses of its accuracy above chance, by image (N,): who has little cannot lose much.

    The mean is the lost share, clean minus disturbed over clean minus chance; each image adds to it by how
    much it moves this ratio (the delta method), so that intervals allow for both accuracies.
    """
    above = clean.mean() - chance
    lost = (clean.mean() - disturbed.mean()) / above
    shares: np.ndarray = lost + (clean - disturbed - lost * (clean - chance)) / above
    return shares


def _by_seeds(cell: Cell) -> "Mapping[Seeds, Result]":
    return {one.seeds: one.record for one in cell.replicates if one.record}


def _correct(measured: Measured, result: "Result") -> np.ndarray:
    scores = measured.predictions.scores(result)
    assert scores is not None
    return scores


def _nll(measured: Measured, result: "Result") -> np.ndarray:
    if result.outcome == "diverged":
        values = np.full(result.data.test_images, log(result.data.classes))
    else:
        values = -measured.predictions.known(result).log_prob.astype(float)
    return measured.predictions.independent(values, result.data)


def _calibration(measured: Measured, result: "Result") -> np.ndarray:
    outputs = measured.predictions.known(result)
    errors = calibration_errors(outputs.confidence.astype(float), outputs.correct)
    return measured.predictions.independent(errors, result.data)


def _gap(measured: Measured, result: "Result") -> np.ndarray:
    train = result.metrics.train_top1
    assert train is not None
    return train - _correct(measured, result)


PER_IMAGE: dict[str, Callable[[Measured, "Result"], np.ndarray]] = {
    "top1": _correct,
    "loss": _correct,
    "nll": _nll,
    "ece": _calibration,
    "gap": _gap,
}


def _of_run(evidence: "Scores", measured: Measured, result: "Result") -> float | None:
    """The one number of a run; None where it was not measured."""
    if evidence.of == "nll_rise":
        looks = measured.histories.get(result.id, [])
        return float(looks.iloc[-1] - looks.min()) if len(looks) > 1 else None
    layers = measured.reach.get(result.id)
    if layers is None:
        return None
    return float(layers.loc[layers["depth"].between(*evidence.depth), evidence.of].mean())
