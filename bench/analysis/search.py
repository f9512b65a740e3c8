"""What searches of recipe values came to: every value that was tried, and which was chosen."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bench.frames import frame
from bench.spec.search import LEARNING_RATE, values_text

if TYPE_CHECKING:
    from bench.store.records.listing import Listing, SearchEntry, TriedEntry
    from bench.store.records.trials import TrialRecord
    from bench.store.run_store import RunStore

WEIGHT_DECAY = "optimizer.weight_decay"
# Values whose accuracy is so close to the best count as no worse, in `sensitivity`.
CLOSE = 0.02

SEARCH = {
    "suite": "str",
    "comparison": "str",
    "dataset": "str",
    "contestant": "str",
    "title": "str",
    "shots": "Int64",
    "for_shots": "str",
    "judge": "str",
    "rung": "Int64",
    "budget_share": "float64",
    "values": "str",
    "lr": "float64",
    "weight_decay": "float64",
    "extended": "boolean",
    "jobs": "Int64",
    "done": "Int64",
    "diverged": "Int64",
    "held_out": "Int64",
    "val_top1": "float64",
    "se": "float64",
    "last_rung": "boolean",
    "chosen": "boolean",
    "edge": "str",
    "images_seen": "Int64",
    "wall_s": "float64",
    "runs": "str",
}
"""Columns of the search table: one row a combination of recipe values in a rung of a search. `shots` is the
subset it was searched on and `for_shots` those that take the choice over, "all" for the whole split;
`val_top1` is the accuracy on the `held_out` images of all its jobs, missing until all are done, with its
binomial standard error `se`; `edge` is the end of a range on which what was chosen lies."""


@dataclass(frozen=True)
class Score:
    """Accuracy on the images held out, over all folds; of diverged jobs no image counts as right."""

    top1: float
    images: int

    @property
    def error(self) -> float:
        """The standard error of `top1`, binomial."""
        return math.sqrt(self.top1 * (1 - self.top1) / self.images)


def pooled(records: "Sequence[TrialRecord | None]") -> Score | None:
    """The score of one combination of recipe values; None where one of its jobs is not done, or has none."""
    done = [record for record in records if record is not None]
    images = sum(record.data.val_images or 0 for record in done)
    if len(done) < len(records) or not images:
        return None
    right = sum((record.metrics.val_top1 or 0.0) * (record.data.val_images or 0) for record in done)
    return Score(right / images, images)


def search_table(suites: "Mapping[str, Listing]", store: "RunStore") -> pd.DataFrame:
    """One row a suite, contestant, subset, rung and combination of values, in the order they were tried."""
    rows = []
    for name, suite in suites.items():
        by_name = {one.name: one for one in suite.comparisons}
        for search in suite.searches:
            comparison = by_name[search.comparison]
            last = max((tried.rung for tried in search.tried), default=0)
            for tried in search.tried:
                rows.append(
                    {
                        "suite": name,
                        "comparison": search.comparison,
                        "dataset": comparison.dataset,
                        "contestant": search.contestant,
                        "title": suite.contestants[search.contestant].title,
                        "shots": search.shots,
                        "for_shots": " ".join("all" if one is None else str(one) for one in search.for_shots),
                        "judge": (comparison.search or {}).get("judge"),
                        "last_rung": tried.rung == last,
                        **_of_values(search, tried, last),
                        **_measured([store.search(job) for job in tried.jobs]),
                        "runs": " ".join(tried.jobs),
                    }
                )
    return frame(rows, SEARCH)


def sensitivity(search: pd.DataFrame) -> pd.DataFrame:
    """How much of what was tried is about as good as the best: one row a search.

    Only values of the first rung are compared, as all of them were trained there alike. Where more than the
    learning rate is searched, a rate is as good as the best values that were tried with it.

    Args:
        search: the search table.

    Returns:
        Columns suite, comparison, contestant, title, shots, tried (learning rates), close (of them within
        CLOSE of the best), share, decades (powers of ten that these cover: see `_widths`), chosen_lr. A
        search without learning rates has no row.
    """
    keys = ["suite", "comparison", "contestant", "title", "shots"]
    rows = []
    for key, own in search.groupby(keys, sort=False, dropna=False):
        first = own[(own["rung"] == 0) & ~own["extended"].astype(bool)]
        if first.empty or first["val_top1"].isna().any() or not own["chosen"].any():
            continue
        best = first.groupby("lr")["val_top1"].max()  # by rate, ascending
        if best.empty:
            continue
        close = (best >= best.max() - CLOSE - 1e-12).to_numpy()
        rows.append(
            dict(zip(keys, key, strict=True))
            | {"tried": len(best), "close": int(close.sum()), "share": float(close.mean())}
            | {"decades": float(_widths(best.index.to_numpy())[close].sum())}
            | {"chosen_lr": own.loc[own["chosen"], "lr"].iloc[0]}
        )
    return pd.DataFrame(rows, columns=[*keys, "tried", "close", "share", "decades", "chosen_lr"])


def _widths(rates: np.ndarray) -> np.ndarray:
    """How many powers of ten each of ascending rates stands for: half of the way to both neighbours, at an
    end as far outwards as inwards; of one rate alone it is not known."""
    if len(rates) == 1:
        return np.array([math.nan])
    steps = np.diff(np.log10(rates))
    widths: np.ndarray = (np.append(steps[0], steps) + np.append(steps, steps[-1])) / 2
    return widths


def _of_values(search: "SearchEntry", tried: "TriedEntry", last: int) -> dict[str, Any]:
    return {
        "rung": tried.rung,
        "budget_share": tried.share,
        "values": values_text(tried.values),
        "lr": tried.values.get(LEARNING_RATE),
        "weight_decay": tried.values.get(WEIGHT_DECAY),
        "extended": tried.extended,
        "chosen": tried.values == search.chosen and tried.rung == last,
        "edge": search.edge if tried.values == search.chosen else None,
    }


def _measured(records: "list[TrialRecord | None]") -> dict[str, Any]:
    """What the jobs of one combination came to."""
    done = [record for record in records if record is not None]
    row: dict[str, Any] = {
        "jobs": len(records),
        "done": len(done),
        "diverged": sum(record.outcome == "diverged" for record in done),
        "images_seen": sum(record.images_seen or 0 for record in done),
        "wall_s": sum(record.wall_s for record in done),
    }
    score = pooled(records)
    return row | ({"held_out": score.images, "val_top1": score.top1, "se": score.error} if score else {})
