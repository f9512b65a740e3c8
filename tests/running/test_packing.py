"""How many trials a device does at once, against measured training steps and a GPU made up here."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bench.networks import find_card, make_model, resolve_weights
from bench.planning.plan import trials_of
from bench.running.packing import PROCESS_BYTES, jobs_that_fit, trial_bytes
from bench.running.threads import threads_of
from bench.spec.job import TrainJob
from bench.spec.suite import load_suite
from bench.store.run_store import RunStore
from bench.training.step_memory import step_memory

PUBLISHED = Path(__file__).parents[2] / "results" / "published"
GIB = 2**30


def measured():
    """The published peaks of training steps on a CPU, which are of the same tensors as on a GPU."""
    profiles = [one.content() for one in RunStore(PUBLISHED).profiles() if one.what == "memory"]
    return [one for one in profiles if one["mode"] == "train" and one["precision"] == "fp32"]


def test_the_memory_of_a_step_is_at_least_what_was_measured_and_at_most_twice():
    assert len(measured()) > 8
    for one in measured():
        card = find_card(one["model"])
        with torch.device("meta"):
            network = make_model(
                card,
                resolve_weights(card, "none", Path(), download=False),
                classes=one["classes"],
                input_size=one["input_size"],
            )
        ratio = step_memory(network, one["input_size"], one["batch_size"], 0) / 2**20 / one["peak_rss_mib"]
        assert 1 <= ratio < 2, one["model"]


def test_as_many_as_fit_the_largest_trial():
    small = trials_of(load_suite("quick"))
    fit = {
        free: jobs_that_fit(small, "cuda", 64, lambda trial: 1797, free=free * GIB) for free in (1, 8, 16, 80)
    }
    assert fit[1] == 1 < fit[8] < fit[16] < fit[80] <= len(small)
    assert 0.8 < fit[80] / (80 * 0.9 / (PROCESS_BYTES / GIB)) <= 1 or fit[80] == len(small)
    # One large trial among them decides for all; a dataset that would lie on the GPU counts.
    large = replace(small[0], model="vit_base_patch16_224", input_size=224)
    assert jobs_that_fit([*small, large], "cuda", 64, lambda trial: 1797, free=16 * GIB) < fit[16]
    more = trial_bytes(small[0], 500_000, 16 * GIB) - trial_bytes(small[0], 0, 16 * GIB)
    side = small[0].recipe.augment.stored_size(small[0].input_size)
    assert more == 500_000 * 3 * side**2
    assert trial_bytes(small[0], 10**9, 16 * GIB) < 16 * GIB  # so many stay off the GPU


def test_cores_and_trials_are_the_most():
    trials = trials_of(load_suite("quick"))
    assert jobs_that_fit(trials, "cuda", 2, lambda trial: 0, free=80 * GIB) == 2
    assert jobs_that_fit(trials[:1], "cuda", 8, lambda trial: 0, free=0) == 1
    assert jobs_that_fit(trials, "cpu", 3, lambda trial: 0) == 3
    assert jobs_that_fit(trials, "mps", 3, lambda trial: 0) == 1


@pytest.mark.parametrize(("change", "device", "threads"), [
    ({}, "cpu", 1), ({"input_size": 224}, "cpu", 3), ({}, "cuda", 3),
])  # fmt: skip
def test_small_trials_compute_with_one_thread_on_a_cpu(change, device, threads):
    trial = replace(trials_of(load_suite("quick"))[0], **change)
    job = TrainJob(identity={}, trial=trial, dataset="digits", train_images=1, classes=10)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with threads_of(job, device):
            assert torch.get_num_threads() == threads
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
