"""What the store keeps of a suite."""

from collections.abc import Iterable
from typing import Any

from bench.files import digest
from bench.planning.conditions import conditions_of
from bench.planning.repeats import by_repeat, in_folds, repeat_identity
from bench.planning.tune import Tunings
from bench.spec.job import TrainJob, Unresolved
from bench.spec.kfold import read_kfold
from bench.spec.suite import Comparison, Suite, fingerprint
from bench.store.records.base import FORMAT
from bench.store.records.listing import Listing


def listing(
    suite: Suite,
    resolved: Iterable[TrainJob | Unresolved],
    profiles: Iterable[str],
    file: str | None = None,
    tunings: Tunings | None = None,
) -> Listing:
    """What the store keeps of a suite: enough to tabulate and report it without the suite's file.

    Args:
        file: the suite file's path from the store, where it did not come with vcbench.
        tunings: its searches.
    """
    resolved = list(resolved)
    splits = {r.trial.comparison: r.identity["split_id"] for r in resolved if isinstance(r, TrainJob)}
    splits |= {one.name: one.split_id for one in suite.comparison if read_kfold(one.split_id)}
    names = {r.trial.comparison: r.dataset for r in resolved if isinstance(r, TrainJob)}
    content = {
        "format": FORMAT,
        "suite": suite.name,
        "title": suite.title,
        "description": suite.description,
        "fingerprint": fingerprint(suite),
        "settings": list(suite.settings),
        "headlines": suite.headlines,
        "delta": suite.delta,
        "contestants": {
            key: {
                "title": contestant.title or key,
                "model": contestant.model,
                "weights": contestant.weights,
                "recipe": contestant.recipe,
            }
            for key, contestant in suite.models.items()
        },
        "comparisons": [
            {
                "name": comparison.name,
                "dataset": names.get(comparison.name, comparison.dataset),
                "split_id": splits.get(comparison.name, comparison.split_id),
                "input_size": comparison.input_size,
                "recipe": comparison.recipe,
                "contestants": list(comparison.contestants),
                "contrasts": [list(pair) for pair in comparison.contrasts],
                "exploratory": [list(pair) for pair in comparison.exploratory],
                "unmatched": comparison.unmatched,
                **({"conditions": list(conditions_of(suite, comparison))} if comparison.conditions else {}),
                **({"reference": comparison.reference} if comparison.reference else {}),
                **({"looks": list(comparison.replicates.looks)} if comparison.replicates.looks else {}),
                "replicates": comparison.replicates.max,
                **_search_entry(suite, comparison),
                # Where one's own images lie, for whoever makes a run of them again.
                **({"images": comparison.dataset} if ":" in comparison.dataset else {}),
            }
            for comparison in suite.comparison
        ],
        "trials": [_entry(own) for own in by_repeat(resolved)],
        **({"searches": searches} if (searches := _searches(tunings)) else {}),
        "profiles": sorted(profiles),
        **({} if suite.keep_weights else {"keep_weights": False}),
        **({"file": file} if file is not None else {}),
    }
    return Listing.model_validate(content)


def _entry(own: list[TrainJob | Unresolved]) -> dict[str, Any]:
    """The entry of a trial, or of the trials of all folds of a repeat."""
    trial = own[0].trial
    jobs = [item for item in own if isinstance(item, TrainJob)]
    known = jobs[0] if len(jobs) == len(own) else None
    teachers = [job.teacher.id for job in jobs if job.teacher]
    identity = None if known is None else repeat_identity(jobs) if in_folds(trial) else known.identity
    return {
        "id": digest(identity) if identity else None,
        "comparison": trial.comparison,
        "contestant": trial.contestant,
        "shots": trial.shots,
        "replicate": trial.replicate,
        "draw_seed": identity["draw_seed"] if identity else None,
        "seed": identity["seed"] if identity else None,
        **({"teacher": known.teacher.id} if known and known.teacher and not in_folds(trial) else {}),
        **({"folds": [job.id for job in jobs]} if identity and in_folds(trial) else {}),
        **({"fold_teachers": teachers} if identity and teachers and in_folds(trial) else {}),
    }


def _search_entry(suite: Suite, comparison: Comparison) -> dict[str, Any]:
    search = suite.search_of(comparison)
    return {} if search is None else {"search": search.model_dump(mode="json")}


def _searches(tunings: Tunings | None) -> list[dict[str, Any]]:
    """One entry a contestant and subset on which values are chosen."""
    if tunings is None:
        return []
    return [
        {
            "comparison": comparison,
            "contestant": contestant,
            "shots": _number(shots),
            "for_shots": [_number(one) for one in tunings.subsets_of(comparison, shots)],
            "tried": [
                {
                    "values": dict(one.values),
                    "rung": one.rung,
                    "share": one.share,
                    "extended": one.extended,
                    "jobs": [job.id for job in one.jobs],
                }
                for one in tuning.tried
            ],
            "chosen": dict(tuning.choice.values) if tuning.choice else None,
            "edge": tuning.choice.edge if tuning.choice else None,
            **({"keep_weights": True} if any(job.trial.keep_weights for job in tuning.jobs) else {}),
        }
        for (comparison, contestant, shots), tuning in tunings.by_subset.items()
    ]


def _number(shots: int | str) -> int | None:
    return shots if isinstance(shots, int) else None
