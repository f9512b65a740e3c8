"""How many replicates and test images the primary contrasts of a suite need, cell by cell."""

from dataclasses import dataclass, replace

from bench.analysis.cells import cells, paired
from bench.analysis.contrasts import Pair, is_deterministic, looks_at, number_decided, pairs
from bench.analysis.decisions import PairedScores
from bench.analysis.power import Sizes, sizes
from bench.analysis.predictions import Predictions
from bench.analysis.sequential import shares
from bench.analysis.statistics import MIN_REPLICATES
from bench.store.records.listing import Listing
from bench.store.run_store import RunStore

ALPHA = 0.05


@dataclass(frozen=True)
class Need:
    """What one contrast needs; `sizes` is None where `note` says why nothing can be said.

    `alpha` is that of its test, the hardest of all that the suite judges, at the last look.
    """

    pair: Pair
    titles: tuple[str, str]
    replicates: int
    images: int | None
    alpha: float
    sizes: Sizes | None
    note: str = ""


def sizes_needed(suite: Listing, store: RunStore, difference: float) -> list[Need]:
    """What each primary contrast of a suite needs to find a true difference, from what is stored."""
    records = {run: record for run in suite.runs if (record := store.result(run))}
    predictions = Predictions(store)
    declared = pairs(suite, cells(suite, records))
    comparisons = number_decided(declared)
    needs = []
    for pair, a, b in declared:
        if not pair.primary:
            continue
        runs_a, runs_b = paired(a, b, predictions.has_scores)
        looks, number = looks_at(a, b), len(runs_a)
        alpha = ALPHA * (float(shares(looks)[-1]) if looks else 1.0) / max(comparisons, 1)
        images, found, note = runs_a[0].data.test_images if runs_a else None, None, ""
        if number >= MIN_REPLICATES or (number and is_deterministic(a, b)):
            scores = predictions.scores_of(runs_a), predictions.scores_of(runs_b)
            both = PairedScores(scores, fold_of=predictions.fold_of(runs_a, runs_b))
            found = sizes(both.parts(scores[0] - scores[1]), difference, alpha)
            if found and found.images is not None:  # of groups, where test images belong together
                found = replace(found, images=round(found.images * (images or 0) / scores[0].shape[1]))
            note = "" if found else "no image is answered differently"
        else:
            note = f"fewer than {MIN_REPLICATES} common replicates"
        needs.append(Need(pair, (a.title, b.title), number, images, alpha, found, note))
    return needs
