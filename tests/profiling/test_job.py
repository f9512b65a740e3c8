"""The ids of profiles: what they depend on, and that published profiles keep theirs."""

from dataclasses import fields, replace
from pathlib import Path

import pytest

from bench.files import digest
from bench.machine import device_name, machine_name, versions
from bench.networks import find_card
from bench.profiling.config import LoadingConfig, NetworkConfig, ScalingConfig
from bench.profiling.job import Budget, Request, profile_job
from bench.profiling.kinds import all_kinds, find_kind, requestable
from bench.profiling.plan import requested_jobs
from bench.store.run_store import RunStore

PUBLISHED = Path(__file__).parent.parent.parent / "results/published/profiles"
NETWORK = NetworkConfig("vit_digits", "infer", 2, 16, 10, "fp32", "contiguous", False, "cpu", 1)


@pytest.mark.parametrize("path", sorted(PUBLISHED.glob("*/record.json")), ids=lambda path: path.parent.name)
def test_published_profiles_are_found_again(path):
    record = RunStore(PUBLISHED.parent).profile(path.parent.name)
    kind = find_kind(record.what)
    names = [field.name for field in fields(kind.config)]
    values = {name: getattr(record, name) for name in names} | {"sizes": tuple(getattr(record, "sizes", ()))}
    # Records have the name of a GPU in the place of "cuda", which `matches` puts back.
    job = profile_job(record.what, kind.config(**{name: values[name] for name in names}))
    assert job.matches(record)
    other = {"threads": 99, "batch_size": 99} if "batch_size" in names else {"classes": 99}
    assert not replace(job, config=replace(job.config, **other)).matches(record)


@pytest.mark.parametrize(
    ("kind", "config", "fields"),
    [
        (
            "speed",
            NETWORK,
            {
                "model": "vit_digits", "mode": "infer", "batch_size": 2, "input_size": 16, "classes": 10,
                "precision": "fp32", "memory_format": "contiguous", "compiled": False, "device": "cpu",
                "threads": 1, "allocator": "default", "cudnn_benchmark": False,
            },
        ),
        (
            "loading",
            LoadingConfig("jpeg", 4, 32, "cpu", 2),
            {"path": "jpeg", "batch_size": 4, "input_size": 32, "device": "cpu", "threads": 2,
             "allocator": "default"},
        ),
        (
            "scaling",
            ScalingConfig("vit_digits", 10, (16, 32)),
            {"classes": 10, "sizes": [16, 32]},
        ),
    ],
)  # fmt: skip
def test_the_id_is_of_config_model_machine_and_versions(kind, config, fields):
    job, card = profile_job(kind, config), find_card("vit_digits")
    model = [card.name, card.architecture, card.options, card.stem] if config.model else None
    assert job.id == digest(
        {
            "profile_format": 1,
            "what": kind,
            "model": model,
            "setting": fields,
            "machine": machine_name(),
            "device": device_name("cpu"),
            "versions": versions(),
        }
    )
    assert job == replace(job, budget=Budget(9)) and job.id == replace(job, budget=Budget(9)).id


def test_a_request_is_planned_once_and_rows_as_trained_may_take_longer():
    batches = [replace(NETWORK, batch_size=size) for size in (1, 2, 4)]
    kinds = frozenset({"speed", "end_to_end", "scaling"})
    jobs = requested_jobs(Request(kinds, batches, Budget(5), sizes=(16, 18, 32)))
    of = {kind: [job.config for job in jobs if job.what == kind] for kind in all_kinds()}
    assert of["speed"] == [*batches, replace(batches[0], input_size=32)]
    assert of["end_to_end"] == [batches[0], batches[2]]
    assert [(c.path, c.batch_size) for c in of["loading"]] == [("jpeg", 4), ("cache", 4)]
    assert of["scaling"] == [ScalingConfig("vit_digits", 10, (16, 18, 32))]
    assert sum(map(len, of.values())) == len(jobs) == len(set(jobs))
    for job in jobs:
        assert job.budget.max_processes == (20 if job.config.as_trained else None)
    assert {"speed", "memory", "energy", "scaling", "end_to_end"} == set(requestable())
