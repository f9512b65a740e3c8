"""How many replicates the cells of a suite get, where that depends on what is decided."""

from bisect import bisect_right

from bench.analysis.cells import cells
from bench.analysis.contrasts import Finding, find_contrasts, looks_at, pairs
from bench.analysis.costs import cost_table
from bench.analysis.predictions import Predictions
from bench.store.records.listing import Listing
from bench.store.run_store import RunStore

Key = tuple[str, int | None, str]
"""A comparison, images per class (None for the whole split) and a contestant."""


def replicates_asked(suite: Listing, store: RunStore) -> dict[Key, int]:
    """How many replicates each cell gets by what the store holds now, in comparisons with looks.

    Each cell gets those of the first look. The two models of a primary contrast that is still undecided when
    both have those of a look get those of the next one; what was decided keeps what it has.

    Args:
        suite: a listing with the most replicates that each cell can get.
    """
    records = {run: record for run in suite.runs if (record := store.result(run))}
    own = cells(suite, records)
    asked = {(c.comparison, c.shots, c.contestant): min(c.looks[0], c.planned) for c in own if c.looks}
    if not asked:
        return {}
    findings = find_contrasts(suite, own, Predictions(store), cost_table([]))
    for finding, (pair, a, b) in zip(findings, pairs(suite, own), strict=True):
        if pair.primary and (looks := looks_at(a, b)):
            for key in ((pair.comparison, pair.shots, pair.a), (pair.comparison, pair.shots, pair.b)):
                asked[key] = max(asked[key], _wanted(finding, looks))
    return asked


def _wanted(finding: Finding, looks: tuple[int, ...]) -> int:
    """The replicates of the next look at a contrast; of the last one made if it needs no other."""
    made = bisect_right(looks, len(finding.runs_a))
    undecided = finding.result is not None and finding.result.verdict == "inconclusive"
    return looks[min(made, len(looks) - 1) if undecided else max(made - 1, 0)]
