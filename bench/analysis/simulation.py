"""How often the analysis is wrong where the truth is known.

    nox -s simulate

Suites are simulated (`scenarios`, `synthetic`), analysed by the functions that analyse real ones, and
compared with the truth. A false claim is *better* or *worse* where the difference is zero or has the other
sign, or *equivalent* where it is delta or more; a suite counts once, however many it makes. Coverage is the
share of suites in which all intervals hold their true values. Power is the share of true differences that
were found (of crossings that were claimed and right, of target accuracies that were found reached).

What came of 2,000 suites a scenario stands in simulated.csv beside this file, and in every report. Whoever
changes an interval or a claim makes it anew: nox -s simulate -- --out bench/analysis/simulated.csv
"""

import argparse
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import bench
from bench.analysis.efficiency import Curve, area_scores, crossover, images_needed
from bench.analysis.scenarios import SCENARIOS, SIZES, Scenario
from bench.analysis.statistics import Contrast, Estimate, Intervals, intervals, verdicts
from bench.analysis.synthetic import World

ALPHA, DELTA, TARGET = 0.05, 0.01, 0.55
SUITES = 2000
CHUNK = 250_000  # scores held at once: they stay in a processor's cache
SLACK = 3.0
"""Monte Carlo standard errors by which a rate may miss what is stated: with two, one row in forty would fail
by chance, and there are nearly two hundred."""
STORED = Path(__file__).with_name("simulated.csv")


@dataclass(frozen=True)
class Outcome:
    """What became of one kind of claim: an entry a suite; NaN where the question does not arise."""

    claim: str
    statements: int
    false: NDArray
    covered: NDArray | None = None
    found: NDArray | None = None
    equivalent: NDArray | None = None
    half_width: NDArray | None = None


def study(
    suites: int = SUITES,
    seed: int = 0,
    *,
    replicates: Sequence[int] = (3, 5, 10),
    images: Sequence[int] = (600, 6149),
    scenarios: Sequence[Scenario] = SCENARIOS,
    progress: Callable[[str], None] = lambda _: None,
) -> pd.DataFrame:
    """Simulate `suites` suites of every scenario at each number of replicates and test images.

    One row a scenario, kind of claim, R and N: rates with their Monte Carlo standard errors; `holds` and
    `covers` say whether false claims and coverage are within `SLACK` of them of what is stated, or better. A
    row depends on the seed and on nothing else that is simulated. `progress` is told of each scenario.
    """
    rows = []
    for scenario in scenarios:
        for r in replicates:
            for n in images:
                progress(f"{scenario.name}, {r} replicates, {n} images")
                rng = np.random.default_rng([seed, zlib.crc32(scenario.name.encode()), r, n])
                for outcome in _outcomes(scenario, suites, r, n, rng):
                    measured = _summary(outcome, suites)
                    rows.append({"scenario": scenario.name, "replicates": r, "images": n, **measured})
    return pd.DataFrame(rows)


def stored() -> pd.DataFrame:
    """The study as it stands beside this file, with the version and the command that made it."""
    return pd.read_csv(STORED)


def _outcomes(
    scenario: Scenario, suites: int, replicates: int, images: int, rng: np.random.Generator
) -> list[Outcome]:
    """Analyse suites a chunk at a time and join the chunks."""
    analyse = _analyse_curves if scenario.curves else _analyse_cells
    step = max(1, CHUNK // (scenario.world.truth.size * replicates * images))
    sizes = [min(step, suites - start) for start in range(0, suites, step)]
    chunks = [list(analyse(scenario.world, scenario.world.scores(k, replicates, images, rng))) for k in sizes]
    return [_join(parts) for parts in zip(*chunks, strict=True)]


def _analyse_cells(world: World, scores: NDArray) -> Iterator[Outcome]:
    truth = world.truth[:, :1] - world.truth[:, 1:]
    found = intervals(scores[:, :, :1] - scores[:, :, 1:], alpha=ALPHA, comparisons=truth.size)
    yield _contrasts("verdict", truth, found)


def _analyse_curves(world: World, scores: NDArray) -> Iterator[Outcome]:
    """Of models a and b: contrasts at each size, crossover, difference in area; of a: band, images needed."""
    a, b, m = world.truth[:, 0], world.truth[:, 1], len(SIZES)
    differences = scores[:, :, 0] - scores[:, :, 1]
    contrasts = intervals(differences, alpha=ALPHA, comparisons=m)
    yield _contrasts("verdict", a - b, contrasts)
    yield _crossovers(a - b, contrasts, scores.shape[-2:])

    table = area_scores(dict(zip(SIZES, np.moveaxis(differences, 1, 0), strict=True)))
    width = np.diff(np.log2(SIZES))
    gap = float(np.dot(width, (a - b)[1:] + (a - b)[:-1]) / 2 / width.sum())
    yield _contrasts("area", np.array([gap]), _stack(intervals(table, alpha=ALPHA)))

    band = intervals(scores[:, :, 0], alpha=ALPHA, comparisons=m, bounds=(0.0, 1.0))
    covered = ((band.low <= a) & (a <= band.high)).all(1)
    half = (band.high - band.low).mean(1) / 2
    yield Outcome("band", m, ~covered, covered, half_width=half)

    size = 2 ** np.interp(TARGET, a, np.log2(SIZES))
    needed = [images_needed(Curve(SIZES, points), TARGET) for points in _estimates(band, scores.shape[-2:])]
    covered = np.array(
        [x.status != "not reached" and (x.low or 0) < size <= (x.high or np.inf) for x in needed]
    )
    reached = np.array([x.status == "reached" for x in needed], float)
    yield Outcome("images needed", 1, ~covered, covered, reached)


def _contrasts(claim: str, truth: NDArray, found: Intervals) -> Outcome:
    """Judge verdicts; axis 0 is the suite, the others are those of the truth."""
    axes = tuple(range(1, found.estimate.ndim))
    truth = np.where(np.abs(truth) < 1e-12, 0.0, truth)  # differences of equal models are rounding errors
    verdict = verdicts(found.low, found.high, DELTA)
    better, worse, equivalent = (verdict == name for name in ("better", "worse", "equivalent"))
    beyond = np.abs(truth) > DELTA - 1e-12
    false = (better & (truth <= 0)) | (worse & (truth >= 0)) | (equivalent & beyond)
    right = (better & (truth > 0)) | (worse & (truth < 0))
    return Outcome(
        claim,
        truth.size,
        false.any(axes),
        ((found.low <= truth) & (truth <= found.high)).all(axes),
        _mean(right, truth != 0),
        _mean(equivalent, ~beyond),
        ((found.high - found.low) / 2).mean(axes),
    )


def _crossovers(truth: NDArray, found: Intervals, shape: tuple[int, int]) -> Outcome:
    """Right: one crossing, whose interval holds the true one, with the true leader. False: any other
    crossing, and "none in the measured range" where each model is ahead by more than delta somewhere."""
    crosses = truth.max() > DELTA and truth.min() < -DELTA
    point = 2 ** np.interp(0, -truth, np.log2(SIZES)) if crosses else None
    false, right = [], []
    for points in _estimates(found, shape):
        verdict = verdicts([p.low for p in points], [p.high for p in points], DELTA)
        declared = {"delta": DELTA, "alpha": ALPHA, "comparisons": len(SIZES)}
        pairs = zip(points, verdict, strict=True)
        result = crossover(SIZES, [Contrast(**vars(p), verdict=str(v), **declared) for p, v in pairs])
        hit = crosses and len(result.crossings) == 1
        hit = hit and all(c.low <= point <= c.high and c.leader == "a" for c in result.crossings)
        right.append(float(hit) if crosses else np.nan)
        none = result.status == "none in the measured range"
        false.append(bool(result.crossings and not hit) or bool(crosses and none))
    return Outcome("crossover", 1, np.array(false), found=np.array(right))


def _estimates(found: Intervals, shape: tuple[int, int]) -> Iterator[tuple[Estimate, ...]]:
    """The rows of a stack of intervals, as curves hold them."""
    for row in zip(*found, strict=True):
        values = zip(*(column.tolist() for column in row), strict=True)
        yield tuple(Estimate(e, low, high, (high - low) / 2, se, *shape) for e, low, high, se in values)


def _stack(found: Intervals) -> Intervals:
    return Intervals(*(column[:, None] for column in found))


def _mean(values: NDArray, where: NDArray) -> NDArray:
    """Mean of each suite over the statements concerned, NaN where there are none."""
    if not where.any():
        return np.full(len(values), np.nan)
    return values[:, where].mean(1)


def _join(parts: Sequence[Outcome]) -> Outcome:
    names = ("false", "covered", "found", "equivalent", "half_width")
    columns = {name: [getattr(part, name) for part in parts] for name in names}
    joined = {name: None if c[0] is None else np.concatenate(c) for name, c in columns.items()}
    return Outcome(parts[0].claim, parts[0].statements, **joined)


def _summary(outcome: Outcome, suites: int) -> dict[str, object]:
    def rate(values: NDArray | None) -> tuple[float, float]:
        if values is None or np.isnan(values).any():
            return np.nan, np.nan
        return float(values.mean()), float(values.std() / np.sqrt(suites))

    false, coverage, power, equivalent = map(
        rate, (outcome.false.astype(float), outcome.covered, outcome.found, outcome.equivalent)
    )
    slack = SLACK * np.sqrt(ALPHA * (1 - ALPHA) / suites)
    return {
        "claim": outcome.claim,
        "statements": outcome.statements,
        "suites": suites,
        "stated": ALPHA,
        "false_claims": false[0],
        "false_claims_error": false[1],
        "holds": false[0] <= ALPHA + slack,
        "coverage": coverage[0],
        "coverage_error": coverage[1],
        "covers": None if outcome.covered is None else coverage[0] >= 1 - ALPHA - slack,
        "power": power[0],
        "power_error": power[1],
        "equivalent": equivalent[0],
        "equivalent_error": equivalent[1],
        "half_width": rate(outcome.half_width)[0],
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the study, print its table, and write it where asked."""
    parser = argparse.ArgumentParser(prog="python -m bench.analysis.simulation", description=study.__doc__)
    parser.add_argument("--suites", type=int, default=SUITES, help="simulated suites of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="CSV to write")
    options = parser.parse_args(arguments)
    table = study(options.suites, options.seed, progress=lambda place: print(place, file=sys.stderr))
    print(table.to_string(index=False, float_format="{:.4f}".format))
    if options.out:
        command = f"python -m bench.analysis.simulation --suites {options.suites} --seed {options.seed}"
        made = table.assign(vcbench=bench.__version__, command=command)
        made.to_csv(options.out, index=False, float_format="%.6g", lineterminator="\n")


if __name__ == "__main__":
    main()
