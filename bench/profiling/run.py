"""Measuring profiles on this machine: from what is asked for to records in the store, each as it is done."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from statistics import median
from typing import Any

from bench.machine import commit, device_name, machine_facts, machine_name, versions
from bench.profiling.config import Setting
from bench.profiling.plan import PROFILE_FORMAT, Measurement, Profile, run_profile
from bench.profiling.processes import Stopped, ask, available_memory, job_of, largest_batch
from bench.profiling.scheduler import UNSTABLE, Limits, Row, best_settings, measure_rows, summarise
from bench.store.run_store import RunStore

WHAT = ("cost", "speed", "memory", "energy", "scaling", "end_to_end")
TIMED = ("speed", "end_to_end", "loading")
# The fields of a worker's result that are stored as they are, from its last process.
KEPT = ("clock", "tolerance", "casting", "optimizer", "gpu", "gpu_processes", "jpeg_px", "jpeg_kib")
PHASES = ("decode", "transform", "model")
Record = dict[str, Any]
Told = Callable[[str], None]


def measure(
    asked: Sequence[Measurement],
    store: RunStore,
    *,
    told: Told,
    resume: bool = False,
    find_best: bool = False,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[Record]:
    """Measure all of `asked`, store each record as it is done, and yield it.

    Args:
        resume: go on from processes that an earlier run of the same has left, and leave such in turn.
        find_best: look for the fastest setting of every model, mode and input size. What was fastest was also
            luckiest: it is measured again, and only that stands. All rows of speed are then yielded twice.
        should_stop: asked before every process and twice a second while one measures, which is then ended;
            what is finished is kept.

    Raises:
        InputError: a network cannot be made so.
    """
    # Found out before anything slow begins, and before its own results lie in the store.
    earlier = {one.id: store.profile(one.id) for one in asked if one.what in TIMED}
    settings = [one.setting for one in asked if isinstance(one.setting, Setting)]
    for model, classes, size in dict.fromkeys((s.model, s.classes, s.input_size) for s in settings):
        cost_of(store, model, classes, size)
    single = {"scaling": _growth, "memory": _memory, "energy": _energy}
    session = Session(should_stop)
    for what, measure_one in single.items():
        for one in (one for one in asked if one.what == what):
            if should_stop():
                return
            told(f"{what}: {one.words}")
            try:
                record = measure_one(one, store, session)
            except Stopped:
                return
            store.finish_profile(one.id, record)
            yield record
    timed = [one for one in asked if one.what in TIMED]
    results = {one.id: store.processes(one.id) if resume else [] for one in timed}
    rows = {_key(one): Row(one.what, one.setting, one.effort, results[one.id]) for one in timed}
    known = {_key(one): one for one in timed}
    hooks = {"memory_limit": available_memory(), "told": told, "should_stop": should_stop}

    def keep(row: Row) -> None:
        if resume and not row.ended:
            store.keep_processes(known[row.task, row.setting].id, row.results)

    def finish(row: Row, limits: Limits, best: bool | None) -> Record:
        one = known[row.task, row.setting]
        record = _timed(one, row, limits, store, earlier[one.id]) | {"best": best}
        store.finish_profile(one.id, record, None if row.failure else row.samples)
        return record

    limits = Limits()
    for row, limits in measure_rows(list(rows.values()), keep=keep, **hooks):
        yield finish(row, limits, None)
    if not find_best or should_stop():
        return
    speed = [row for row in rows.values() if row.task == "speed"]
    again = [Row("speed", setting, known["speed", setting].effort) for setting in best_settings(speed)]
    for row, anew in measure_rows(again, **hooks | {"told": lambda text: told(f"best setting, {text}")}):
        rows["speed", row.setting] = row
        yield finish(row, anew, True)
    chosen = {row.setting for row in again}
    for row in speed:
        if row.setting not in chosen:
            yield finish(row, limits, False)


@dataclass
class Session:
    """What the measurements of one call share: when to stop, and what the GPU's board takes without work."""

    should_stop: Callable[[], bool]
    idle: Record | None = None

    def ask(self, job: Record) -> Record:
        """As `bench.profiling.processes.ask`."""
        return ask(job, self.should_stop)

    def idle_watts(self, one: Measurement) -> Record:
        """The result that has "idle_watts", measured once."""
        if self.idle is None or self.idle["outcome"] != "measured":
            self.idle = self.ask(job_of("idle", one.setting, None))
        return self.idle


def cost_of(store: RunStore, model: str, classes: int, input_size: int) -> Record:
    """The cost of a model: the store's record where there is one, else counted, once in a process.

    Raises:
        InputError: the network cannot be made so.
    """
    profile = Profile(model, classes, input_size)
    return store.profile(profile.id) or counted(profile, profile.id)


@cache
def counted(profile: Profile, run: str) -> Record:
    """The record of a profile, whose id is `run`, counted here."""
    return run_profile(profile)


def _key(one: Measurement) -> tuple[str, Any]:
    return one.what, one.setting


def _growth(one: Measurement, store: RunStore, session: Session) -> Record:
    """Cost against input size."""
    from bench.networks import find_card
    from bench.profiling.scaling import scaling

    begun, wanted = _now(), one.setting
    found = scaling(
        find_card(wanted.model),
        classes=wanted.classes,
        sizes=wanted.sizes,
        count=lambda card, classes, size: cost_of(store, card.name, classes, size),
    )
    return _record(one, begun) | found


def _memory(one: Measurement, store: RunStore, session: Session) -> Record:
    """Peak memory of a setting, in a fresh process in which nothing is timed."""
    begun, limit = _now(), available_memory()
    found = session.ask(job_of("memory", one.setting, limit))
    if found["outcome"] == "out_of_memory":
        found["largest_batch"] = largest_batch(one.setting, limit, session.should_stop)
    numbers = found | {"reason": None} if found["outcome"] == "measured" else _failed(found)
    return _record(one, begun) | {"processes": 1} | numbers


def _energy(one: Measurement, store: RunStore, session: Session) -> Record:
    """Energy of a setting on a GPU, in a fresh process."""
    begun = _now()
    found = session.idle_watts(one)
    if found["outcome"] == "measured":
        found = session.ask(job_of("energy", one.setting, None, idle_watts=found["idle_watts"]))
    if found["outcome"] == "out_of_memory":
        found["largest_batch"] = largest_batch(one.setting, None, session.should_stop)
    numbers = found | {"reason": None} if found["outcome"] == "measured" else _failed(found)
    return _record(one, begun) | numbers


def _timed(one: Measurement, row: Row, limits: Limits, store: RunStore, earlier: Record | None) -> Record:
    """The record of a row whose processes are done."""
    record = _record(one, row.begun) | _state(row)
    if row.failure:
        return record | _failed(row.failure)
    found = summarise(row.samples, one.setting.batch_size)
    record |= found | {"outcome": "measured", "reason": None} | _agreement(found, earlier)
    if one.what == "speed":
        return record | _of_the_limits(one.setting, found["images_per_s"], limits, store)
    return record | _phases(row) if one.what == "end_to_end" else record


def _agreement(found: Record, earlier: Record | None) -> Record:
    """How a row stands to what the store held of the very same, measured earlier: apart, it is unstable."""
    if earlier is None or earlier["outcome"] != "measured":
        return {"earlier_images_per_s": None}
    before, now = earlier["images_per_s"], found["images_per_s"]
    apart = max(before, now) / min(before, now) - 1 > UNSTABLE
    return {"earlier_images_per_s": before, "unstable": found["unstable"] or apart}


def _of_the_limits(setting: Setting, images_per_s: float, limits: Limits, store: RunStore) -> Record:
    """FLOP/s reached, beside what the machine reaches in products of matrices, and its memory's bytes/s."""
    cost = cost_of(store, setting.model, setting.classes, setting.input_size)
    achieved = cost["flops" if setting.mode == "infer" else "flops_train_step"] * images_per_s
    peak = limits.matmul.get(setting.precision)
    return {
        "flops_per_s": achieved,
        "matmul_peak": peak,
        "fraction_of_matmul_peak": achieved / peak["flops_per_s"] if peak else None,
        "memory_bandwidth": limits.bandwidth,
    }


def _phases(row: Row) -> Record:
    """Medians in ms of the phases of a batch, their shares of all the time, and the rate of the model alone.

    That rate is of the model's phase of the same steps, so that it is never slower than the whole.
    """
    taken = {name: [s for one in row.results for s in one["phases"][name]] for name in PHASES}
    total = sum(sum(seconds) for seconds in taken.values())
    model_s = median(taken["model"])
    return {
        "model_images_per_s": row.setting.batch_size / model_s,
        **{f"{name}_ms": 1000 * median(seconds) for name, seconds in taken.items()},
        **{f"{name}_share": sum(seconds) / total for name, seconds in taken.items()},
        "phase_medians_ms": [
            {name: 1000 * median(one["phases"][name]) for name in PHASES} for one in row.results
        ],
    }


def _record(one: Measurement, begun: str) -> Record:
    """What every record has; the setting's fields keep their names, but `device` is named for a reader."""
    facts = one.setting.facts()
    named = {"device": device_name(facts["device"])} if "device" in facts else {}
    return {
        **facts,
        **named,
        "format": PROFILE_FORMAT,
        "kind": "profile",
        "what": one.what,
        "id": one.id,
        **(_card_facts(one.model) if one.model else {}),
        **({"as_trained": one.as_trained} if isinstance(one.setting, Setting) else {}),
        "machine": machine_name(),
        "machine_facts": machine_facts(),
        "versions": versions(),
        "commit": commit(),
        "started": begun,
        "finished": _now(),
    }


def _card_facts(model: str) -> Record:
    from bench.networks import find_card

    card = find_card(model)
    facts = {"title": card.title, "family": card.family, "pretraining": card.pretraining}
    return {"model": card.name, **facts, "weights": "random"}


def _state(row: Row) -> Record:
    """The machine and the network during a row: the worst of its processes, and how each of them was."""
    done = [one for one in row.results if one["outcome"] == "measured"]
    if not done:
        return {}
    return {name: done[-1][name] for name in KEPT if name in done[-1]} | {
        "error": max((one["error"] for one in done if "error" in one), default=None),
        "busy": any(one["busy"] for one in done),
        "other_cores": max(one["other_cores"] for one in done),
        "load": [[one["load_before"], one["load_after"]] for one in done],
        "steady": all(one["steady"] for one in done),
        "warm_up_steps": [one["warm_up_steps"] for one in done],
    }


def _failed(result: Record) -> Record:
    """What a row says that has no numbers."""
    if result["outcome"] == "failed":
        return {"outcome": "failed", "reason": result["reason"]}
    if "largest_batch" not in result:
        return {"outcome": "out_of_memory", "reason": "out of memory"}
    largest = result["largest_batch"]
    fitting = f"the largest batch that fits is {largest}" if largest else "no batch fits"
    return {"outcome": "out_of_memory", "reason": f"out of memory; {fitting}", "largest_batch": largest}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
