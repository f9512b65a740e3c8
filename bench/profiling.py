"""Profiles measured on demand: records of cost, speed, memory and scaling, and their ids."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bench.config import digest
from bench.machine import commit, device_name, machine_facts, machine_name, versions
from bench.measure.processes import ask, available_memory, job_of, largest_batch
from bench.measure.rounds import Effort, Row, best_settings, measure_rows, spoken, summarise
from bench.measure.setting import Setting
from bench.profiles import PROFILE_FORMAT, Profile, run_profile

WHAT = ("cost", "speed", "memory", "scaling")
# The fields of a worker's result that are stored as they are, from its last process.
KEPT = ("clock", "tolerance", "casting", "optimizer", "gpu")
Told = Callable[[str], None]


@dataclass(frozen=True)
class Measured:
    """A profile's record and, for speed, the ms of every step of each process."""

    record: dict[str, Any]
    samples: list[list[float]] | None = None


def measured_id(what: str, model: str, setting: dict[str, Any]) -> str:
    """From everything that a measurement depends on: model, setting, machine, device and versions."""
    from models import find_card

    card = find_card(model)
    return digest(
        {
            "profile_format": PROFILE_FORMAT,
            "what": what,
            "model": [card.name, card.architecture, card.options, card.stem],
            "setting": setting,
            "machine": machine_name(),
            "device": device_name(setting.get("device", "cpu")),
            "versions": versions(),
        }
    )


def cost_profiles(models: Sequence[str], input_sizes: Sequence[int], classes: int) -> Iterator[Measured]:
    """The costs of every model at every input size, counted anew.

    Raises:
        InputError: a network cannot be made so.
    """
    for model in models:
        for input_size in input_sizes:
            yield Measured(run_profile(Profile(model, classes, input_size)))


def scaling_profiles(models: Sequence[str], classes: int, told: Told) -> Iterator[Measured]:
    """Cost against input size of every model."""
    from bench.measure.scaling import SIZES, scaling
    from models import find_card

    for model in models:
        told(f"cost from {SIZES[0]} to {SIZES[-1]} px: {model}")
        begun = _now()
        found = scaling(find_card(model), classes=classes)
        setting = {"classes": classes, "sizes": list(SIZES)}
        yield Measured(_record("scaling", model, setting, begun) | {"classes": classes, **found})


def speed_profiles(
    settings: Sequence[Setting],
    costs: dict[tuple[str, int], dict[str, Any]],
    effort: Effort,
    told: Told,
    *,
    find_best: bool = False,
    memory_limit: int | None = None,
) -> Iterator[Measured]:
    """The speed of every setting.

    The fastest of several was also the luckiest: what `find_best` finds for a model, mode and input size
    is measured again, and only that stands.

    Args:
        costs: the cost record of every model and input size.
        memory_limit: bytes of data a worker on the CPU may have; what is free where it is None.
    """
    begun = _now()
    limit = memory_limit or available_memory()
    rows, peaks = measure_rows(settings, effort, memory_limit=limit, told=told)
    best = best_settings(rows) if find_best else []
    if best:
        again, _ = measure_rows(
            best, effort, memory_limit=limit, told=lambda text: told(f"best setting, {text}")
        )
        anew = {row.setting: row for row in again}
        rows = [anew.get(row.setting, row) for row in rows]
    for row in rows:
        setting = row.setting
        record = _record("speed", setting.model, setting.facts(), begun) | _state(row)
        record["best"] = setting in best if find_best else None
        if row.failure:
            yield Measured(record | _failed(row.failure))
            continue
        found = summarise(row.samples, setting.batch_size)
        cost = costs[setting.model, setting.input_size]
        flops = cost["flops" if setting.mode == "infer" else "flops_train_step"]
        achieved = flops * found["images_per_s"]
        peak = peaks.get(setting.precision)
        record |= found | {
            "outcome": "measured",
            "reason": None,
            "flops_per_s": achieved,
            "matmul_peak": peak,
            "fraction_of_matmul_peak": achieved / peak["flops_per_s"] if peak else None,
        }
        yield Measured(record, row.samples)


def memory_profiles(
    settings: Sequence[Setting], told: Told, memory_limit: int | None = None
) -> Iterator[Measured]:
    """The peak memory of every setting, each in a fresh process in which nothing is timed."""
    for number, setting in enumerate(settings, 1):
        told(f"memory, {number} of {len(settings)}: {spoken(setting)}")
        begun, limit = _now(), memory_limit or available_memory()
        found = ask(job_of("memory", setting, limit))
        if found["outcome"] == "out_of_memory":
            found["largest_batch"] = largest_batch(setting, limit)
        record = _record("memory", setting.model, setting.facts(), begun) | {"processes": 1}
        yield Measured(
            record | (found | {"reason": None} if found["outcome"] == "measured" else _failed(found))
        )


def _record(what: str, model: str, setting: dict[str, Any], begun: str) -> dict[str, Any]:
    """What every record has; the setting's fields keep their names, but `device` is named for a reader."""
    from models import find_card

    card = find_card(model)
    named = {"device": device_name(setting["device"])} if "device" in setting else {}
    return {
        **setting,
        **named,
        "format": PROFILE_FORMAT,
        "kind": "profile",
        "what": what,
        "id": measured_id(what, model, setting),
        "model": card.name,
        "title": card.title,
        "family": card.family,
        "pretraining": card.pretraining,
        "weights": "random",
        "machine": machine_name(),
        "machine_facts": machine_facts(),
        "versions": versions(),
        "commit": commit(),
        "started": begun,
        "finished": _now(),
    }


def _state(row: Row) -> dict[str, Any]:
    """The machine and the network during a row: the worst of its processes, and how each of them was."""
    done = [one for one in row.results if one["outcome"] == "measured"]
    if not done:
        return {}
    return {name: done[-1][name] for name in KEPT} | {
        "error": max(one["error"] for one in done),
        "busy": any(one["busy"] for one in done),
        "other_cores": max(one["other_cores"] for one in done),
        "load": [[one["load_before"], one["load_after"]] for one in done],
        "steady": all(one["steady"] for one in done),
        "warm_up_steps": [one["warm_up_steps"] for one in done],
    }


def _failed(result: dict[str, Any]) -> dict[str, Any]:
    """What a row says that has no numbers."""
    if result["outcome"] == "failed":
        return {"outcome": "failed", "reason": result["reason"]}
    largest = result["largest_batch"]
    fitting = f"the largest batch that fits is {largest}" if largest else "no batch fits"
    return {"outcome": "out_of_memory", "reason": f"out of memory; {fitting}", "largest_batch": largest}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
