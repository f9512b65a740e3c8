"""How often the analysis is wrong where the truth is known.

    nox -s simulate

Suites are simulated (`scenarios`, `synthetic`), analysed by the functions that analyse real ones, and
compared with the truth. A false verdict is *better* or *worse* where the difference is zero or has the other
sign, a false equivalence *equivalent* where it is delta or more; a suite counts once, however many it makes.
Claims called sequential are of suites whose cells get replicates until they are decided, as `LOOKS` says.
Coverage is how often an interval holds its true value, in the cell where it does so least. Power is the share
of true differences that were found (of equal models that were found equivalent, of crossings that were
claimed and right).

What came of 2,000 suites a scenario stands in simulated.csv beside this file, and in every report. Whoever
changes an interval or a claim makes it anew: nox -s simulate -- --out bench/analysis/simulation/simulated.csv
"""

import argparse
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd

import bench
from bench.analysis.crossovers import crossover
from bench.analysis.decisions import CAP, holm, moderated, verdicts
from bench.analysis.sequential import over_looks, shares
from bench.analysis.simulation import kfold
from bench.analysis.simulation.scenarios import SCENARIOS, SIZES, Scenario
from bench.analysis.statistics import Contrast, Parts, Verdict, ends, p_different, p_equivalent, parts

ALPHA, DELTA = 0.05, 0.01
SUITES = 2000
LOOKS = (3, 5, 8, 12)
CHUNK = 250_000  # scores held at once: they stay in a processor's cache
SLACK = 3.0
"""Monte Carlo standard errors by which a rate may miss what is stated: with two, one row in forty would fail
by chance, and there are more than two hundred."""
STORED = Path(__file__).with_name("simulated.csv")


@dataclass(frozen=True)
class Outcome:
    """What became of one kind of claim: an entry a suite, NaN where the question does not arise. `false` and
    `covered` may have one for each of its intervals, of which the worst counts; `replicates` is how many a
    cell was given, where that is not the same for all."""

    claim: str
    statements: int
    false: np.ndarray
    covered: np.ndarray | None = None
    detected: np.ndarray | None = None
    half_width: np.ndarray | None = None
    replicates: np.ndarray | None = None


def study(
    suites: int = SUITES,
    seed: int = 0,
    *,
    replicates: Sequence[int] = (3, 5, 10),
    images: Sequence[int] = (600, 6149),
    looks: Sequence[int] = LOOKS,
    scenarios: Sequence[Scenario] = SCENARIOS,
    cap: float = CAP,
    progress: Callable[[str], None] = lambda _: None,
) -> pd.DataFrame:
    """Simulate `suites` suites of every scenario at each number of replicates and test images, and again with
    as many replicates as decide them: `looks` of them (none: not again), the last of which names the row.

    One row a scenario, kind of claim, R and N: rates with their Monte Carlo standard errors; `holds` and
    `covers` say whether false claims and coverage are within `SLACK` of them of what is stated, or better. A
    row depends on the seed and on nothing else that is simulated. `cap` is that of `moderated`. `progress` is
    called with each scenario.
    """
    rows = []
    for sequential in (False, True):
        for scenario in scenarios:
            if sequential and (scenario.curves or scenario.shares or not looks):
                continue
            for r in looks[-1:] if sequential else replicates:
                for n in images:
                    progress(f"{scenario.name}, {r} replicates{' at most' * sequential}, {n} images")
                    rng = np.random.default_rng([seed, zlib.crc32(scenario.name.encode()), r, n])
                    outcomes = (
                        _sequential(scenario, suites, looks, n, rng, cap)
                        if sequential
                        else _outcomes(scenario, suites, r, n, rng, cap)
                    )
                    for outcome in outcomes:
                        measured = _summary(outcome, suites)
                        rows.append({"scenario": scenario.name, "replicates": r, "images": n, **measured})
    return pd.DataFrame(rows)


def stored() -> pd.DataFrame:
    """The study in the file beside this one, with the version and the command that made it."""
    return pd.read_csv(STORED)


def _outcomes(
    scenario: Scenario, suites: int, replicates: int, images: int, rng: np.random.Generator, cap: float
) -> Iterator[Outcome]:
    """Simulate suites a chunk at a time, keep the parts of their variances, and judge them all at once."""
    each = scenario.replicates(replicates)
    step = max(1, CHUNK // (scenario.world.truth.size * max(each) * images))
    chunks = [
        _parts(scenario, scenario.world.scores(min(step, suites - start), max(each), images, rng), each)
        for start in range(0, suites, step)
    ]
    joined = {name: _join([chunk[name] for chunk in chunks]) for name in chunks[0]}
    truth = scenario.world.truth
    if not scenario.curves:
        return _contrasts(np.ravel(truth[:, :1] - truth[:, 1:]), moderated(joined["differences"], cap))
    return _curves(truth[:, 0], truth[:, 1], joined, cap)


def _sequential(
    scenario: Scenario, suites: int, looks: Sequence[int], images: int, rng: np.random.Generator, cap: float
) -> Iterator[Outcome]:
    """Simulate suites whose undecided contrasts get more replicates, from each look to the next."""
    truth = scenario.world.truth
    step = max(1, CHUNK // (truth.size * looks[-1] * images))
    chunks: list[list[Parts]] = [[] for _ in looks]
    for start in range(0, suites, step):
        scores = scenario.world.scores(min(step, suites - start), looks[-1], images, rng)
        for chunk, r in zip(chunks, looks, strict=True):
            chunk.append(_parts(scenario, scores[..., :r, :], [r] * len(truth))["differences"])
    shape = (suites, (truth.shape[1] - 1) * len(truth))
    given, weights = _join(chunks[0]), np.zeros((len(looks), *shape))
    looked: list[Parts] = []
    done = np.zeros(shape, bool)
    for k, share in enumerate(shares(looks)):
        given = Parts(*(np.where(done, *both) for both in zip(given, _join(chunks[k]), strict=True)))
        looked.append(moderated(given, cap))
        weights[k] = np.where(done, 0.0, share)
        decided = _verdicts(*over_looks(looked, weights[: k + 1], DELTA))
        done = decided != "inconclusive"
    for outcome in _judged(np.ravel(truth[:, :1] - truth[:, 1:]), looked[-1], decided):
        yield replace(outcome, claim=f"{outcome.claim}, sequential", replicates=given.replicates.mean(-1))


def _parts(scenario: Scenario, scores: np.ndarray, replicates: Sequence[int]) -> dict[str, Parts]:
    """What is kept of scores (suites, C, M, R, N), with one entry a suite and contrast or size."""
    differences = scores[:, :, :1] - scores[:, :, 1:]
    cells = [parts(differences[:, c, :, :r]) for c, r in enumerate(replicates)]
    shape = cells[0].estimate.shape
    kept = {"differences": _join([Parts(*(np.broadcast_to(x, shape) for x in cell)) for cell in cells], -1)}
    if scenario.curves:
        band = parts(scores[:, :, 0])
        kept["band"] = Parts(*(np.broadcast_to(x, band.estimate.shape) for x in band))
    return kept


def _join(of: Sequence[Parts], axis: int = 0) -> Parts:
    return Parts(*(np.concatenate(column, axis) for column in zip(*of, strict=True)))


def _curves(a: np.ndarray, b: np.ndarray, joined: dict[str, Parts], cap: float) -> Iterator[Outcome]:
    """Of models a and b: contrasts at each size, crossover; of a: band."""
    contrasts = moderated(joined["differences"], cap)
    yield from _contrasts(a - b, contrasts)
    yield _crossovers(a - b, contrasts)
    yield _intervals("band", a, joined["band"], (0.0, 1.0))


def _contrasts(truth: np.ndarray, of: Parts) -> Iterator[Outcome]:
    """Judge verdicts; axis 0 is the suite, the last that of the truth."""
    return _judged(truth, of, _verdicts(of.estimate, p_different(of), p_equivalent(of, DELTA)))


def _verdicts(estimate: np.ndarray, different: np.ndarray, within: np.ndarray) -> np.ndarray:
    return verdicts(estimate, holm(different), holm(within), ALPHA)


def _judged(truth: np.ndarray, of: Parts, decided: np.ndarray) -> Iterator[Outcome]:
    """Set verdicts and intervals against the truth."""
    truth = np.where(np.abs(truth) < 1e-12, 0.0, truth)  # differences of equal models are rounding errors
    better, worse, equivalent = (decided == name for name in ("better", "worse", "equivalent"))
    beyond = np.abs(truth) > DELTA - 1e-12
    false = (better & (truth <= 0)) | (worse & (truth >= 0))
    right = (better & (truth > 0)) | (worse & (truth < 0))
    plain = _intervals("verdict", truth, of)
    yield replace(plain, false=false.any(-1), detected=_mean(right, truth != 0))
    yield Outcome(
        "equivalent", truth.size, (equivalent & beyond).any(-1), detected=_mean(equivalent, truth == 0)
    )


def _intervals(
    claim: str, truth: np.ndarray, of: Parts, bounds: tuple[float, float] = (-1.0, 1.0)
) -> Outcome:
    low, high = ends(of, ALPHA, bounds)
    covered = (low <= truth) & (truth <= high)
    return Outcome(claim, truth.size, ~covered, covered, half_width=((high - low) / 2).mean(-1))


def _crossovers(truth: np.ndarray, of: Parts) -> Outcome:
    """Right: one crossing, whose interval holds the true one, with the true leader. False: any other
    crossing, and "none in the measured range" where each model is ahead by more than delta somewhere."""
    crosses = truth.max() > DELTA and truth.min() < -DELTA
    point = 2 ** np.interp(0, -truth, np.log2(SIZES))
    decided = _verdicts(of.estimate, p_different(of), p_equivalent(of, DELTA))
    false, right = [], []
    for estimates, row in zip(of.estimate, decided, strict=True):
        result = crossover(SIZES, [_bare(*pair) for pair in zip(estimates, row, strict=True)])
        hit = crosses and len(result.crossings) == 1
        hit = hit and all(c.low <= point <= c.high and c.leader == "a" for c in result.crossings)
        right.append(float(hit) if crosses else np.nan)
        none = result.status == "none in the measured range"
        false.append(bool(result.crossings and not hit) or bool(crosses and none))
    return Outcome("crossover", 1, np.array(false), detected=np.array(right))


def _bare(estimate: np.float64, verdict: np.str_) -> Contrast:
    """A contrast that has only an estimate and a verdict."""
    name = cast(Verdict, str(verdict))
    return Contrast(float(estimate), None, None, None, None, 0, 0, verdict=name, delta=DELTA, alpha=ALPHA)


def _mean(values: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Mean of each suite over the statements concerned, NaN where there are none."""
    if not where.any():
        return np.full(len(values), np.nan)
    means: np.ndarray = values[:, where].mean(1)
    return means


def _summary(outcome: Outcome, suites: int) -> dict[str, object]:
    def rate(
        values: np.ndarray | None, *, worst: Callable[[np.ndarray], float] = np.max
    ) -> tuple[float, float]:
        if values is None or np.isnan(values).any():
            return np.nan, np.nan
        mean = float(worst(values.astype(float).mean(0)))
        spread = values.std() if values.ndim == 1 else np.sqrt(mean * (1 - mean))
        return mean, float(spread / np.sqrt(suites))

    false, coverage = rate(outcome.false), rate(outcome.covered, worst=np.min)
    power = rate(outcome.detected)
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
        "half_width": rate(outcome.half_width)[0],
        "mean_replicates": rate(outcome.replicates)[0],
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the study, print its table, and write it where asked."""
    parser = argparse.ArgumentParser(prog="python -m bench.analysis.simulation", description=study.__doc__)
    parser.add_argument("--suites", type=int, default=SUITES, help="simulated suites of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cap", type=float, default=CAP, help="of the prior of MS_rep")
    parser.add_argument("--kfold", action="store_true", help="simulate repeated k-fold instead")
    parser.add_argument("--out", type=Path, help="CSV to write")
    options = parser.parse_args(arguments)

    def progress(line: str) -> None:
        print(line, file=sys.stderr)

    if options.kfold:
        table = kfold.study(options.suites, options.seed, progress=progress)
    else:
        table = study(options.suites, options.seed, cap=options.cap, progress=progress)
    print(table.to_string(index=False, float_format="{:.4f}".format))
    if options.out:
        command = f"python -m bench.analysis.simulation --suites {options.suites} --seed {options.seed}"
        command += "" if options.cap == CAP else f" --cap {options.cap:g}"
        command += " --kfold" if options.kfold else ""
        made = table.assign(vcbench=bench.__version__, command=command)
        made.to_csv(options.out, index=False, float_format="%.6g", lineterminator="\n")


if __name__ == "__main__":
    main()
