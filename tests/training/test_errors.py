"""One bad trial never ends a run, and says what went wrong."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import bench.running.attempt as attempt_module
import bench.running.execute as execute_module
import bench.training.train_network as train_network
from bench.errors import DeviceError, StoreError
from bench.training.loss import CrossEntropy
from bench.training.memory import is_out_of_memory, largest_fitting_batch
from bench.training.step import TrainingStep

OWN = """
title = "own"
description = "for tests"
[models]
resnet = { model = "resnet_digits" }
[[comparison]]
name = "good"
dataset = "folder:good"
contestants = ["resnet"]
recipe = "scratch"
shots = ["all"]
replicates = 1
input_size = 16
[comparison.set]
"budget.epochs" = 1
"budget.min_steps" = 2
"budget.batch_size" = 4
"""


def other_comparison(name, **changes):
    block = OWN[OWN.index("[[comparison]]") :].replace("good", name)
    for old, new in changes.items():
        block = block.replace(f'{old} = "scratch"', f'{old} = "{new}"')
    return block


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Two folders of images, of which one has a test image that is cut short."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for split, count in (("train", 4), ("test", 2)):
        for name in ("cat", "dog"):
            folder = tmp_path / "good" / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(0, 255, (20, 24, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.jpg")
    shutil.copytree("good", "bad")
    broken = tmp_path / "bad" / "test" / "dog" / "1.jpg"
    broken.write_bytes(broken.read_bytes()[:-300])
    (tmp_path / "own.toml").write_text(OWN.replace("[[", other_comparison("bad") + "[[", 1))
    return tmp_path / "own.toml"


def test_damaged_data_are_told_before_training_and_the_others_are_done(photos, run, monkeypatch):
    trained = []
    trainer = train_network.Trainer
    monkeypatch.setattr(
        train_network, "Trainer", lambda *args, **how: trained.append(1) or trainer(*args, **how)
    )
    store, (bad, good) = run(photos)
    assert (bad.status, good.status) == ("errored", "finished") and len(trained) == 1
    assert "bad/test/dog/1.jpg: cannot be decoded" in bad.message and "\n" not in bad.message
    assert store.error(bad.job.training.id).message == bad.message


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED\nat somewhere"),
        AssertionError(),
        KeyError("x"),
        MemoryError(),
    ],
)
def test_whatever_a_trial_raises_is_noted_and_the_next_is_run(tiny, run, monkeypatch, error):
    fit, calls = execute_module.fit, []

    def failing(inputs):
        calls.append(inputs)
        if len(calls) == 1:
            raise error
        return fit(inputs)

    monkeypatch.setattr(execute_module, "fit", failing)
    store, (first, second) = run(tiny)
    assert (first.status, second.status) == ("errored", "finished")
    assert "\n" not in first.message and store.error(first.job.training.id).attempts == 1
    details = (store.folder_of("runs", first.job.training.id) / "error.txt").read_text()
    assert "Traceback" in details and "failing" in details
    store, (again,) = run(tiny)
    assert again.status == "finished"
    assert not (store.folder_of("runs", first.job.training.id) / "error.txt").exists()


def test_a_gpu_that_computes_no_more_ends_the_run_in_one_line(tiny, run, monkeypatch):
    def failing(inputs):
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(execute_module, "fit", failing)
    monkeypatch.setattr(attempt_module, "computes", lambda device: False)
    with pytest.raises(DeviceError, match="computes no more, after: .*illegal memory access") as caught:
        run(tiny)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "CUDA out of memory. Tried to allocate 20.00 MiB",
        "CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: you tried",
        "CUDA error: out of memory",
    ],
)
def test_texts_of_memory_that_is_not_enough(text):
    assert is_out_of_memory(RuntimeError(text))
    assert not is_out_of_memory(RuntimeError("shape mismatch"))


def test_the_optimizer_counts_where_a_batch_is_looked_for():
    """Memory that is full as soon as the optimizer has its state, in the second step."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 4 * 4, 2))
    optimizer = torch.optim.AdamW(network.parameters())

    def full(module, inputs):
        if optimizer.state and len(inputs[0]) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")

    network.register_forward_pre_hook(full)
    step = TrainingStep(network, optimizer, CrossEntropy(), precision="fp32", clip_grad=None)
    assert largest_fitting_batch(step, 16, 4) == 2


def test_a_store_that_is_removed_while_running_is_noticed(tiny, run, tmp_path):
    whole, expected = run(tiny, results="undisturbed")
    removed = []

    def remove(job):
        from bench.training.observer import Silent

        if not removed:
            removed.append(shutil.rmtree(tmp_path / "store"))
        return Silent()

    with pytest.raises(StoreError, match="removed or moved while this ran"):
        run(tiny, follow=remove)
    store, _ = run(tiny)
    assert store.names("runs") == whole.names("runs") and store.suites().keys() == {"tiny"}
    for outcome in expected:
        assert store.result(outcome.job.training.id).metrics == outcome.record.metrics


@pytest.mark.parametrize("folder", ["runs", "suites", "profiles"])
def test_a_part_of_the_store_that_is_removed_is_noticed(tiny, run, tmp_path, folder):
    """After the first trial was evaluated."""
    from bench.training.observer import Silent

    begun = []

    def remove(job):
        begun.append(job)
        if len(begun) == 3:
            shutil.rmtree(tmp_path / "store" / folder)
        return Silent()

    if folder != "suites":  # are made again by the same command
        run(tiny, follow=remove)
    else:
        with pytest.raises(StoreError, match="removed while this ran"):
            run(tiny, follow=remove)
    store, _ = run(tiny)
    assert len(store.names("runs")) == 2 and len(store.names("profiles")) == 2 and "tiny" in store.suites()


@pytest.mark.parametrize("name", ["runs", "suites", "profiles", "tables", "labels"])
def test_a_file_where_a_folder_of_the_store_should_be(tiny, run, tmp_path, name):
    run(tiny, should_stop=lambda: True)
    shutil.rmtree(tmp_path / "store" / name, ignore_errors=True)
    (tmp_path / "store" / name).touch()
    with pytest.raises(StoreError, match=f"{name}: should be a folder"):
        run(tiny)


def test_what_a_kill_in_the_last_moment_left_is_removed(tiny, run):
    store, (outcome, _) = run(tiny)
    folder = store.folder_of("runs", outcome.job.training.id)
    left = (
        "checkpoint.pt",
        "training.json",
        "looks.json",
        "elapsed.json",
        ".record.json.0123456789ab.part",
    )
    for name in left:
        (folder / name).write_text("{}")
    run(tiny)
    assert not [name for name in left if (folder / name).exists()]


def test_the_time_of_all_processes_counts(tiny, run, monkeypatch):
    from bench.training.observer import Silent

    clock = [0.0]

    def tick():
        clock[0] += 1e-4
        return clock[0]

    monkeypatch.setattr(attempt_module.time, "perf_counter", tick)

    class Slow(Silent):
        """Its trial takes 100 s, and is stopped by then where asked for."""

        def __init__(self, stop):
            self.stop, self.training = stop, False

        def progress(self, phase, done, total, **numbers):
            if phase == "training" and done == 6:
                clock[0] += 100
                self.training = True

        def should_stop(self):
            return self.stop and self.training

    store, (stopped,) = run(tiny, only=["vit"], follow=lambda _: Slow(True))
    assert stopped.status == "stopped" and store.elapsed(store.files(stopped.job.id)) == pytest.approx(
        100, abs=1
    )
    _, (finished,) = run(tiny, only=["vit"], follow=lambda _: Slow(False))
    assert finished.record.wall_s == pytest.approx(100, abs=2)
    assert not (store.folder_of("runs", stopped.job.training.id) / "elapsed.json").exists()
    assert json.loads((store.record_of("runs", stopped.job.training.id)).read_text())["gpu"] is None
