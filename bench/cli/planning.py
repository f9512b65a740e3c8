"""vcbench plan: what a suite holds, what of it is done, and how long the rest will take."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.cli.common import (
    DEFAULT_RESULTS,
    DataDir,
    Device,
    Json,
    Only,
    Replicates,
    Results,
    Setting,
    SuiteName,
    WeightsDir,
    data_folder,
    format_duration,
    print_columns,
    print_json,
    warn,
    weights_folder,
)
from bench.files import cache_dir

if TYPE_CHECKING:
    from bench.analysis.match import Facts
    from bench.planning.stage import Stage
    from bench.profiling.job import ProfileJob
    from bench.running.estimate import Estimator
    from bench.spec.job import TrainJob, Unresolved
    from bench.spec.suite import Comparison, Suite
    from bench.store.run_store import RunStore


def plan(
    suite: SuiteName,
    results: Results = DEFAULT_RESULTS,
    data_dir: DataDir = None,
    weights_dir: WeightsDir = None,
    device: Device = "auto",
    replicates: Replicates = None,
    settings: Setting = None,
    only: Only = None,
    as_json: Json = False,
) -> None:
    """List every trial and profile of a suite, which are done, and how long the rest will take.

    Example: vcbench plan flowers102 --data-dir data
    """
    from bench.cli.progress import passing_line
    from bench.machine import choose_device
    from bench.planning.plan import Resolver
    from bench.planning.stage import Stage
    from bench.profiling.plan import planned_profiles
    from bench.running.estimate import Estimator
    from bench.running.runner import PROFILES, chosen
    from bench.spec.job import TrainJob, Unresolved
    from bench.spec.suite import load_suite
    from bench.store.run_store import RunStore

    loaded = load_suite(suite, tuple(settings or ()))
    folder = data_folder(data_dir)
    store = RunStore(Path(results))
    resolver = Resolver(folder, weights_folder(weights_dir, folder), store.if_there())
    stage = Stage(loaded, chosen(loaded, replicates, only or ()), resolver, store, strict=False)
    resolved = stage.resolved
    for line in resolver.warnings():
        warn(line)
    todo = {item.id: item for item in resolved if isinstance(item, TrainJob) and not _is_whole(item, store)}
    estimator = Estimator(store, device, resolver.dataset)
    # By id: what two comparisons share is done once. Time and room need no weights,
    # which may still have to be fetched.
    sketched = [item.sketch for item in resolved if isinstance(item, Unresolved) and item.sketch]
    searched = [*stage.tunings.jobs, *stage.tunings.later]
    expected: dict[str, float] = {}
    with passing_line() as estimator.log:
        for job in [*(one for one in searched if not store.has(one)), *todo.values(), *sketched]:
            expected[job.id] = max(expected.get(job.id, 0.0), estimator.seconds(job))
    searches = _search_rows(stage, store, expected)
    # Only what is measured on a device depends on it; finding it may import PyTorch.
    profiles = planned_profiles(
        loaded, resolved, choose_device(device) if loaded.profiles.measured else "cpu"
    )
    if only and PROFILES not in only:
        profiles = [profile for profile in profiles if profile.what == "cost"]
    listing = {
        "suite": loaded.name,
        "results": str(results),
        "searches": searches,
        "optional": stage.optional,
        "trials": [_trial_row(item, store, expected) for item in resolved],
        "profiles": [_profile_row(profile, store) for profile in profiles],
        "unmatched": unmatched_pairs(loaded, resolved, store, estimator),
        "remaining_s": round(sum(expected.values())),
        "estimate": f"{estimator.source()}, on {estimator.device}" if expected else None,
        "cache_bytes": estimator.cache_bytes,
        "store_bytes": estimator.store_bytes,
        "measuring_s": round(_measuring(profiles, store)),
    }
    store.keep_checked()
    if as_json:
        print_json(listing)
    else:
        _print(listing, len(todo))


def unmatched_pairs(
    suite: "Suite", resolved: "list[TrainJob | Unresolved]", store: "RunStore", estimator: "Estimator"
) -> list[str]:
    """What the two models of each contrast do not have in common, one line a contrast that has any.

    FLOPs and parameters are compared where they were counted: `vcbench run` counts them before it trains.
    """
    from bench.analysis.match import differences
    from bench.spec.job import TrainJob
    from bench.store.records.profiles import CostRecord

    sizes = {
        (profile.model, profile.input_size): (profile.flops, profile.params)
        for profile in store.profiles()
        if isinstance(profile, CostRecord)
    }
    jobs = {
        (item.trial.comparison, item.trial.contestant): item
        for item in resolved
        if isinstance(item, TrainJob)
    }
    lines = []
    for comparison in suite.comparison:
        for pair in comparison.contrasts + comparison.exploratory:
            notes = differences(
                *(
                    _facts(suite, comparison, key, jobs.get((comparison.name, key)), sizes, estimator)
                    for key in pair
                )
            )
            if notes:
                lines.append(f"{comparison.name}: {' against '.join(pair)}: {'; '.join(map(str, notes))}")
    return lines


def _facts(
    suite: "Suite",
    comparison: "Comparison",
    key: str,
    job: "TrainJob | None",
    sizes: dict[tuple[str, int], tuple[int, int]],
    estimator: "Estimator",
) -> "Facts":
    """What is known of a contestant before it is trained; `job` is one of its trials."""
    from bench.analysis.match import Facts

    contestant = suite.models[key]
    flops, parameters = sizes.get((contestant.model, comparison.input_size), (None, None))
    frozen = job is not None and job.trial.recipe.frozen
    return Facts(
        title=contestant.title or key,
        flops=flops,
        parameters=parameters,
        pretraining=frozenset(_pretraining(suite, comparison, key)),
        recipe=frozenset([contestant.recipe or comparison.recipe]),
        precision=frozenset([contestant.precision or comparison.precision]),
        feature_width=frozenset([estimator.feature_width(job)] if job and frozen else []),
        images_seen=_images_seen(job) if job and not frozen else None,
    )


def _pretraining(suite: "Suite", comparison: "Comparison", key: str) -> set[str]:
    """What a contestant starts from, and what its teachers do where that is more."""
    from bench.analysis.match import of_teacher
    from bench.networks import find_card

    contestant, distill = suite.models[key], suite.recipe_of(comparison, key).distill
    own = "none" if contestant.weights == "none" else find_card(contestant.model).pretraining
    teacher = distill.teacher if distill else None
    taught = _pretraining(suite, comparison, teacher) if teacher else set()
    return {own} | of_teacher(own, taught)


def _images_seen(job: "TrainJob") -> int:
    """How many images the training of a network sees, epochs counted."""
    budget, _ = job.trial.recipe.training
    return budget.steps(job.train_images)[0] * min(budget.batch_size, job.train_images)


def _search_rows(stage: "Stage", store: "RunStore", expected: dict[str, float]) -> list[dict[str, Any]]:
    """One row a contestant and subset on which recipe values are searched."""
    rows = []
    for (comparison, contestant, shots), tuning in stage.tunings.by_subset.items():
        todo = [job for job in tuning.jobs if not store.has(job)]
        rows.append(
            {
                "comparison": comparison,
                "model": contestant,
                "shots": None if shots == "all" else shots,
                "jobs": len(tuning.jobs) + len(tuning.later),
                "done": len(tuning.jobs) - len(todo),
                "expected_s": round(sum(expected.get(job.id, 0.0) for job in [*todo, *tuning.later])),
                "chosen": dict(tuning.choice.values) if tuning.choice else None,
                "edge": tuning.choice.edge if tuning.choice else None,
                "runs": [job.id for job in tuning.jobs],
            }
        )
    return rows


def _measuring(profiles: "Sequence[ProfileJob]", store: "RunStore") -> float:
    """Seconds that what is still to be measured will take."""
    from bench.profiling.expected import expected_seconds

    missing = [one for one in profiles if one.what != "cost" and not store.has_profile(one.id)]
    return expected_seconds(missing, store.profiles()) if missing else 0.0


def _is_whole(job: "TrainJob", store: "RunStore") -> bool:
    """Whether a trial is evaluated under all of its conditions."""
    from bench.spec.job import evaluations

    return all(map(store.has, evaluations(job)))


def _state(item: "TrainJob | Unresolved", store: "RunStore") -> str:
    """As `RunStore.state`, but "begun" for a trial that lacks evaluations; "waiting" for one whose values are
    still searched, "unresolved" where data or weights are missing."""
    from bench.spec.job import Unresolved

    if isinstance(item, Unresolved):
        return "waiting" if item.waiting else "unresolved"
    state = store.state(item.id)
    return "begun" if state == "done" and not _is_whole(item, store) else state


def _trial_row(
    item: "TrainJob | Unresolved", store: "RunStore", expected: dict[str, float]
) -> dict[str, Any]:
    from bench.spec.job import TrainJob

    run = item.id if isinstance(item, TrainJob) else None
    trial = item.trial
    job = item if isinstance(item, TrainJob) else item.sketch
    seconds = expected.get(job.id) if job else None
    return {
        "state": _state(item, store),
        "run": run,
        "comparison": trial.comparison,
        "model": trial.contestant,
        "dataset": trial.dataset,
        "recipe": trial.recipe.name,
        "teacher": trial.teacher.contestant if trial.teacher else None,
        "shots": trial.shots,
        "replicate": trial.replicate,
        "expected_s": None if seconds is None else round(seconds),
        "reason": None if isinstance(item, TrainJob) else str(item.reason),
    }


def _profile_row(profile: "ProfileJob", store: "RunStore") -> dict[str, Any]:
    return {
        "state": "done" if store.has_profile(profile.id) else "missing",
        "profile": profile.id,
        "what": profile.what,
        **profile.config.to_dict(),
        "model": profile.model,
        "label": profile.label,
    }


def _print(listing: dict[str, Any], todo: int) -> None:
    trials, profiles = listing["trials"], listing["profiles"]
    if listing["searches"]:
        _print_searches(listing["searches"])
    if trials:
        _print_trials(trials)
    rows = [[row[column] for column in ("state", "profile", "what", "label")] for row in profiles]
    print_columns(rows, ("STATE", "PROFILE", "WHAT", "OF"))
    unresolved = [row for row in trials if row["state"] == "unresolved"]
    done = sum(row["state"] == "done" for row in trials)
    print(
        f"\n{listing['suite']}: {_searched(listing['searches'])}"
        f"{len(trials)} trials, {done} done, {todo} to do, {len(unresolved)} unresolved{_waiting(trials)}; "
        f"{len(profiles)} profiles, "
        f"{sum(row['state'] == 'done' for row in profiles)} done"
    )
    if listing["estimate"] is not None:
        duration = format_duration(listing["remaining_s"])
        print(f"The rest takes about {duration}, one trial at a time (from {listing['estimate']}).")
        room = [listing["cache_bytes"] / 1e9, listing["store_bytes"] / 1e9]
        print(
            "It takes about {:.2g} GB in the cache ({}) and {:.2g} GB in {}.".format(
                room[0], cache_dir(), room[1], listing["results"]
            )
        )
    if listing["optional"]:
        print(f"Contrasts that stay undecided get more replicates: at most {listing['optional']} trials.")
    for line in listing["unmatched"]:
        print(f"Unmatched: {line}")
    if listing["measuring_s"]:
        more = format_duration(listing["measuring_s"])
        print(
            f"What is measured takes about {more} more on a quiet machine; unstable rows take up to four "
            "times as long."
        )
    for reason in dict.fromkeys(row["reason"] for row in unresolved):
        print(f"Unresolved: {reason}")


def _searched(searches: list[dict[str, Any]]) -> str:
    done, jobs = (sum(row[name] for row in searches) for name in ("done", "jobs"))
    return f"{jobs} search jobs, {done} done; " if searches else ""


def _waiting(trials: list[dict[str, Any]]) -> str:
    waiting = sum(row["state"] == "waiting" for row in trials)
    return f", {waiting} waiting for other jobs" if waiting else ""


def _print_searches(searches: list[dict[str, Any]]) -> None:
    from bench.spec.search import values_text

    print_columns(
        [
            (
                "chosen" if row["chosen"] else "searching" if row["done"] else "missing",
                row["comparison"],
                row["model"],
                "all" if row["shots"] is None else row["shots"],
                f"{row['done']}/{row['jobs']}",
                format_duration(row["expected_s"]) if row["expected_s"] else "-",
                values_text(row["chosen"]) if row["chosen"] else "-",
            )
            for row in searches
        ],
        ("SEARCH", "COMPARISON", "MODEL", "SHOTS", "JOBS", "EXPECTED", "CHOSEN"),
    )
    print()


def _print_trials(trials: list[dict[str, Any]]) -> None:
    print_columns(
        [
            (
                row["state"],
                row["run"] or "-",
                row["comparison"],
                row["model"],
                row["recipe"] + (f" (teacher: {row['teacher']})" if row["teacher"] else ""),
                "all" if row["shots"] is None else row["shots"],
                row["replicate"],
                "-" if row["expected_s"] is None else format_duration(row["expected_s"]),
            )
            for row in trials
        ],
        ("STATE", "RUN", "COMPARISON", "MODEL", "RECIPE", "SHOTS", "REPLICATE", "EXPECTED"),
    )
    print()
