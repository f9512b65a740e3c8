"""Running a suite: plan, do what is missing, and plan again, until nothing is missing."""

import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import DataError, InputError, StoreError, did_you_mean, shortened
from bench.planning.listing import listing
from bench.planning.plan import Resolver, trials_of
from bench.planning.stage import Stage
from bench.planning.tune import Tunings
from bench.profiling.job import ProfileJob
from bench.profiling.plan import planned_profiles, require_runtimes
from bench.running.attempt import Follow, Outcome
from bench.running.engines import Engine
from bench.running.queue import Queue
from bench.running.repeats import join_repeats
from bench.spec.job import CLEAN, EvaluateJob, TrainJob, Trial, Unresolved
from bench.spec.suite import Suite, fingerprint, suite_names
from bench.store.records.listing import Listing
from bench.store.records.profiles import ProfileRecord
from bench.store.run_store import RunStore
from bench.store.unneeded import Needs
from bench.training.baselines import measure_baselines

if TYPE_CHECKING:
    from bench.running.workspace import Workspace

# How long to wait before looking again at jobs that another process has in hand.
HELD_SECONDS = 2.0
# How often it is looked whether another process has done measuring, and whether to stop.
LOOK_SECONDS = 0.5
# The name in `--only` of what a suite measures without training.
PROFILES = "profiles"


def chosen(suite: Suite, replicates: int | None, only: Iterable[str]) -> list[Trial]:
    """The suite's trials, or those of the comparisons and contestants named in `only`.

    The name "profiles" stands for what is measured without training: alone, for no trial.

    Raises:
        InputError: a name in `only` that the suite does not have.
    """
    only = set(only)
    names = [*(comparison.name for comparison in suite.comparison), *suite.models, PROFILES]
    for name in sorted(only - set(names)):
        raise InputError(
            f"--only {shortened(name)}: {suite.name} has no such comparison or model"
            f"{did_you_mean(name, names)} (it has {', '.join(names)})"
        )
    return [
        trial
        for trial in trials_of(suite, replicates)
        if not only or {trial.comparison, trial.contestant} & only
    ]


def write_listing(
    suite: Suite,
    store: RunStore,
    resolved: Iterable[TrainJob | Unresolved],
    profiles: Iterable[ProfileJob[Any]],
    file: Path | None = None,
    tunings: Tunings | None = None,
) -> None:
    """Store what the suite holds, keeping what earlier runs of the same suite had asked for.

    `file` is the suite's file, where it did not come with the harness; it is kept, relative to the store.
    `tunings` are its searches. Profiles that were measured elsewhere stay, also where the suite has changed,
    as long as it asks for them.
    """
    profiles = list(profiles)
    path = None if file is None else _relative(file, store)
    new, old = listing(suite, resolved, [one.id for one in profiles], path, tunings), store.suite(suite.name)
    if old is None:
        return store.write_suite(new)
    same = old.fingerprint == new.fingerprint
    measured = [record for record in map(store.profile, old.profiles) if record]
    kept = {record.id for record in measured if same or _asks_for(record, profiles)}
    new = new.model_copy(update={"profiles": sorted({*new.profiles, *kept})})
    store.write_suite(_with_earlier(new, old) if same else new)


def _with_earlier(new: Listing, old: Listing) -> Listing:
    """A suite's listing with the trials of an earlier one of the same suite, and what it knew of the data.

    Trials that had no id stand for as many replicates as the suite asks for. Where ids are known now, there
    may be fewer: a deterministic trial is not repeated.
    """
    settled = {entry.key[:-1] for entry in new.trials if entry.id}
    known = {entry.key: entry for entry in old.trials if entry.id or entry.key[:-1] not in settled}
    known |= {entry.key: entry for entry in new.trials if entry.id or entry.key not in known}
    trials = sorted(known.values(), key=lambda entry: entry.replicate)
    return new.with_data_of(old).model_copy(update={"trials": trials})


def refuse_other_suite(suite: Suite, file: Path | None, store: RunStore) -> str | None:
    """Refuse to put one suite in the place of another that has its name; returns what to warn of, or None.

    `file` is as in `write_listing`. A suite that comes with the harness and one of the user's own are
    kept apart; of two files of the user's own the later one may be a new version of the earlier, which is
    only warned of.

    Raises:
        InputError: the store holds the results of the other under this name.
    """
    old = store.suite(suite.name)
    if old is None or old.fingerprint == fingerprint(suite):
        return None
    theirs, ours = old.file, _relative(file, store) if file is not None else None
    if theirs == ours:
        return None
    what = (
        f"the suite of {(store.root / theirs).resolve()}" if theirs else "the suite that comes with vcbench"
    )
    if theirs is None and suite.name.partition("+")[0] not in suite_names():
        return None  # listed before the file was kept
    if ours is None or theirs is None:
        raise InputError(
            f'{store.root}: holds results of another suite "{suite.name}", {what}; choose another --results, '
            "or rename the file of your own"
        )
    return f"{suite.name}: {store.root} held {what} under this name; what it lists is replaced"


def _relative(file: Path, store: RunStore) -> str:
    """A file's path from the store, which stays right where both are moved together."""
    return Path(os.path.relpath(file.resolve(), Path(store.root).resolve())).as_posix()


def _asks_for(record: ProfileRecord, profiles: Iterable[ProfileJob[Any]]) -> bool:
    return any(profile.matches(record) for profile in profiles)


def run_suite(
    suite: Suite,
    workspace: "Workspace",
    engine: Engine,
    *,
    measuring_device: str | None = None,
    replicates: int | None = None,
    only: Iterable[str] = (),
    follow: Follow,
    should_stop: Callable[[], bool],
    began: Callable[[int, int], None] = lambda done, total: None,
    ended: Callable[[Outcome], None] = lambda outcome: None,
    log: Callable[[str], None] = lambda text: None,
    warn: Callable[[str], None] = lambda line: None,
    file: Path | None = None,
) -> Counter[str]:
    """Do what is missing of a suite, and return how many trials ended how, how many search jobs were
    "searched", how many evaluations under other conditions than clean "evaluated", and how many profiles
    "measured".

    A trial has ended when it is evaluated, diverged or errored.

    Args:
        measuring_device: of this machine, for what is timed; None is that of the workspace.
        began: called with how many trials are done, and of how many, before the first.
        ended: called with each outcome of a job.
        log: called with what is being measured.
        warn: called with each line on what is to be known of the data, before anything is trained.
        file: the suite's file, where it did not come with the harness.

    Raises:
        BenchError: the inputs are not all here, or results cannot be written; nothing done is lost.
    """
    from bench.profiling.run import measure
    from bench.running.preflight import check_networks

    only, device = set(only), measuring_device or workspace.device
    trials = chosen(suite, replicates, only)
    store, resolver = workspace.store, workspace.resolver
    stage = Stage(suite, trials, resolver, store)
    for line in resolver.warnings():
        warn(line)
    require_runtimes(suite)
    check_networks([*stage.tunings.jobs, *stage.subsets], resolver)
    store.prepare()
    resolver.freeze_splits(store.root)
    wanted = set(trials)
    others = [trial for trial in trials_of(suite) if trial not in wanted]

    def list_suite() -> None:
        everything = Stage(suite, [*trials, *others], resolver.offline(), store, strict=False)
        profiles = planned_profiles(suite, everything.resolved, device)
        write_listing(suite, store, everything.resolved, profiles, file, everything.tunings)

    list_suite()
    profiles = planned_profiles(suite, stage.subsets, device)
    costs = [one for one in profiles if one.what == "cost" and not store.has(one)]
    for _ in measure(costs, store, should_stop=should_stop):
        pass

    for job in stage.jobs:
        store.tidy(job)
    began(stage.done, stage.planned)
    _baselines(stage.subsets, resolver, store, log, should_stop)

    def next_stage() -> Stage:
        nonlocal stage
        # Before it is asked which replicates there are to be, by what those before came to.
        join_repeats(stage.trials, resolver, store)
        later = Stage(suite, trials, resolver, store)
        if later.ids != stage.ids:
            list_suite()
            began(later.done, later.planned)
        stage = later
        return stage

    counts, results = _do_jobs(next_stage, workspace, engine, follow, should_stop, ended)
    if not only or PROFILES in only:
        counts["measured"] = _measure(profiles, store, log, should_stop)
    store.check_there()
    lost = sorted(run for run in results if not (store.is_done(run) or store.search(run)))
    if lost or store.suite(suite.name) is None:
        what = f"{len(lost)} runs that ended" if lost else "the list of this suite"
        raise StoreError(
            f"{store.root}: {what} were removed while this ran; the same command makes them anew"
        )
    list_suite()
    store.keep_checked()
    return counts


def _do_jobs(
    next_stage: Callable[[], Stage],
    workspace: "Workspace",
    engine: Engine,
    follow: Follow,
    should_stop: Callable[[], bool],
    ended: Callable[[Outcome], None],
) -> tuple[Counter[str], set[str]]:
    """Train and evaluate in rounds, until nothing is missing that can be done.

    Returns:
        How many trials ended how, and the ids of those with a result.
    """
    store, counts = workspace.store, Counter[str]()
    results: set[str] = set()
    lost: set[str] = set()
    failed: set[str] = set()  # not tried again in this run
    while not (should_stop() or counts["stopped"]):
        jobs = next_stage().jobs
        needs = _needs(store)
        trainings = {job.id: job for job in jobs if isinstance(job, TrainJob)}
        done = {job.id for job in jobs if store.has(job)}
        for job in trainings.values():
            if job.purpose == "search" and job.id in done:
                _release(job, store, needs)
        for outcome in _untaught(trainings.values(), done, failed, store):
            failed.add(outcome.job.id)
            counts["errored"] += 1
            ended(outcome)
        missing = [job for job in jobs if job.id not in done and not failed & {job.id, *job.needs}]
        if not missing:
            break
        all_held = True
        for outcome in engine.run(Queue(missing, done, should_stop), workspace, follow):
            store.check_there()
            if outcome.status == "held":
                continue
            all_held = False
            lost_again = outcome.status == "lost" and outcome.job.id in lost
            if outcome.status == "lost":
                lost.add(outcome.job.id)
            if outcome.status == "errored" or lost_again:
                failed.add(outcome.job.id)
            if outcome.status == "finished" and _is_of_condition(outcome.job):
                counts["evaluated"] += 1
            if outcome.ends_trial or lost_again:
                searched = outcome.job.purpose == "search" and outcome.status in ("finished", "diverged")
                counts["errored" if lost_again else "searched" if searched else outcome.status] += 1
                results |= {outcome.record.id} if outcome.record else set()
            for run in {outcome.job.training.id, *outcome.job.training.needs} & trainings.keys():
                _release(trainings[run], store, needs)
            ended(outcome)
        if all_held:
            time.sleep(HELD_SECONDS)
    return counts, results


def _is_of_condition(job: TrainJob | EvaluateJob) -> bool:
    """Whether it is an evaluation under another condition than clean."""
    return isinstance(job, EvaluateJob) and job.condition != CLEAN


def _untaught(
    trainings: Iterable[TrainJob], done: set[str], failed: set[str], store: RunStore
) -> Iterator[Outcome]:
    """Note of each job whose teacher failed in this run that it cannot be done."""
    for job in trainings:
        if job.teacher is not None and job.teacher.id in failed and job.id not in failed | done:
            failure = store.failure(store.files_of(job.teacher))
            reason = f": {failure.message}" if failure else ""
            message = f"its teacher, run {job.teacher.id}, failed{reason}"
            store.note_error(store.files_of(job), message)
            yield Outcome(job, "errored", message=message)


def _needs(store: RunStore) -> Needs | None:
    """What all suites of the store need; None where one of them cannot be read, which is told elsewhere."""
    try:
        return Needs(store)
    except StoreError:
        return None


def _release(job: TrainJob, store: RunStore, needs: Needs | None) -> None:
    """Remove weights that no suite of the store needs any more, and no student that is planned now."""
    if job.trial.keep_weights or needs is None or needs.weights_of(job.id):
        return
    if all(map(store.has, job.students)):
        store.files_of(job).weights.unlink(missing_ok=True)


def _baselines(
    wanted: list[TrainJob],
    resolver: Resolver,
    store: RunStore,
    log: Callable[[str], None],
    should_stop: Callable[[], bool],
) -> None:
    """Make the baselines that trials will be held against, before the trials; without them these go on."""
    try:
        measure_baselines(
            wanted,
            resolver.dataset,
            store,
            progress=lambda done, total: log(f"baselines: {done} of {total} images"),
            should_stop=should_stop,
        )
    except DataError as error:
        log(f"no baselines: {error}")


def _measure(
    profiles: Iterable[ProfileJob[Any]],
    store: RunStore,
    log: Callable[[str], None],
    should_stop: Callable[[], bool],
) -> int:
    """Measure what is missing, after the trials; returns how many profiles there are more.

    One process measures in a store at a time: two would disturb each other. This one waits for its turn, and
    then measures what the other has left.
    """
    asked = [profile for profile in profiles if profile.what != "cost"]
    waiting = False
    while not should_stop() and not all(store.has_profile(profile.id) for profile in asked):
        with store.claim(PROFILES) as mine:
            if mine:
                from bench.profiling.run import measure

                _release_gpu()
                wanted = [profile for profile in asked if not store.has_profile(profile.id)]
                return sum(1 for _ in measure(wanted, store, log=log, resume=True, should_stop=should_stop))
        if not waiting:
            log("waiting for another process that measures in this store")
        waiting = True
        time.sleep(LOOK_SECONDS)
    return 0


def _release_gpu() -> None:
    """Give back the GPU memory that trials of this process took and freed: what is measured needs it."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
