"""From bytes to labels: the pictures, the arithmetic before the network, and where the time is said to go."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms

from bench.profiling import bandwidth, loading
from bench.profiling.config import LimitConfig, LoadingConfig, NetworkConfig
from bench.profiling.end_to_end import PHASES, measure_end_to_end
from bench.profiling.jpegs import HEIGHT, WIDTH, Preparation, batches, describe_jpegs, make_jpegs
from bench.profiling.loading import MEAN, STD, measure_loading
from bench.store.run_store import RunStore
from bench.tables.measured import measured_tables

SMALL = NetworkConfig("vit_digits", "infer", 2, 16, 10, "bf16", "channels_last", False, "cpu", 1)


@pytest.fixture
def files(pictures):
    return pictures


def test_pictures_compress_as_photographs_do(files):
    facts = describe_jpegs(files)
    assert facts["jpeg_px"] == "500x375"
    # ImageNet's files have 110 KB on average, at 400 x 350 px on average.
    assert 60 < facts["jpeg_kib"] < 150
    assert len({hash(file) for file in files}) == 3 and make_jpegs(3) == files
    for file in files:
        with Image.open(io.BytesIO(file)) as picture:
            assert (picture.format, picture.size, picture.mode) == ("JPEG", (WIDTH, HEIGHT), "RGB")
            spread = np.asarray(picture).std()
    assert 30 < spread < 90


@pytest.mark.parametrize("threads", [1, 2])
def test_the_transform_is_torchvisions(files, threads):
    prepare = Preparation(224, MEAN, STD, "cpu", threads)
    found = prepare.transform(prepare.decode(files))
    reference = transforms.Compose(
        [
            transforms.Resize(256, transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )
    expected = torch.stack([reference(Image.open(io.BytesIO(file))) for file in files])
    assert found.shape == (3, 3, 224, 224)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_files_come_in_turn():
    file_batches = batches([b"a", b"b", b"c"], 2)
    assert [next(file_batches) for _ in range(3)] == [[b"a", b"b"], [b"c", b"a"], [b"b", b"c"]]


def test_phases_add_up_to_the_whole():
    found = measure_end_to_end(SMALL, repeats=3, seconds=0.0)
    assert len(found["seconds"]) == 3 and set(found["phases"]) == set(PHASES)
    for total, *parts in zip(found["seconds"], *found["phases"].values(), strict=True):
        assert total == pytest.approx(sum(parts)) and min(parts) > 0
    assert found["error"] <= found["tolerance"] == 5e-2


def test_loading_takes_both_ways(monkeypatch):
    monkeypatch.setattr(loading, "CACHED", 8)
    made = {}
    for path in ("jpeg", "cache"):
        wanted = LoadingConfig(path, 4, 32, "cpu", 1)
        made[path] = measure_loading(wanted, repeats=2, seconds=0.0)
        assert len(made[path]["seconds"]) == 2 and min(made[path]["seconds"]) > 0
    assert "jpeg_kib" in made["jpeg"] and "jpeg_kib" not in made["cache"]


def test_cached_images_are_augmented_as_in_training(monkeypatch, tmp_path):
    monkeypatch.setattr(loading, "CACHED", 8)
    step, _ = loading._cache(LoadingConfig("cache", 4, 32, "cpu", 1), tmp_path)
    first, second = step(), step()
    assert first.shape == (4, 3, 32, 32) and first.dtype == torch.float32
    assert not torch.equal(first, second)
    scale = torch.tensor(STD).view(1, 3, 1, 1), torch.tensor(MEAN).view(1, 3, 1, 1)
    shares = first * scale[0] + scale[1]
    assert shares.min() > -1e-4 and shares.max() < 1 + 1e-4 and shares.std() > 0.1


def test_bytes_per_second_counts_what_is_read_and_written(monkeypatch):
    """Copy reads one array and writes one, triad reads two and writes one, of 4 bytes an element."""
    monkeypatch.setitem(bandwidth.ARRAY_BYTES, "cpu", 4000)
    taken = iter([[0.5], [0.25]])
    monkeypatch.setattr(bandwidth, "sample", lambda clock, *effort: (clock(1), next(taken))[1])
    found = bandwidth.measure_bandwidth(LimitConfig("cpu", 1), repeats=1, seconds=0.0)
    assert found["by_kernel"] == [
        {"kernel": "copy", "bytes_per_s": 2 * 4000 / 0.5},
        {"kernel": "triad", "bytes_per_s": 3 * 4000 / 0.25},
    ]
    assert (found["kernel"], found["bytes_per_s"], found["array_bytes"]) == ("triad", 48000.0, 4000)


def test_a_small_machine_is_not_filled_with_arrays(monkeypatch):
    memory = type("Memory", (), {"available": 1_000_000})
    monkeypatch.setattr(bandwidth.psutil, "virtual_memory", lambda: memory)
    found = bandwidth.measure_bandwidth(LimitConfig("cpu", 1), repeats=1, seconds=0.0)
    assert 0 < found["array_bytes"] <= 100_000


def test_the_model_alone_is_never_slower_than_the_whole(monkeypatch):
    """On a clock that runs ahead by random amounts: no phase takes longer than the steps that it is of."""
    from bench.profiling import end_to_end
    from bench.profiling.job import profile_job
    from bench.profiling.kinds import find_kind
    from bench.profiling.samples import summarise
    from bench.profiling.scheduler import Row
    from bench.profiling.session import Session

    generator, now = np.random.default_rng(0), [0.0]

    def clock():
        now[0] += generator.exponential()
        return now[0]

    monkeypatch.setattr(end_to_end.time, "perf_counter", clock)
    results = [measure_end_to_end(SMALL, repeats=7, seconds=0.0) for _ in range(3)]
    row = Row(profile_job("end_to_end", SMALL), results)
    whole = summarise(row.samples, SMALL.batch_size)["images_per_s"]
    phases = find_kind("end_to_end").summary(row, whole, Session())
    model = [SMALL.batch_size / np.median(one["phases"]["model"]) for one in results]
    assert phases["model_images_per_s"] == pytest.approx(np.mean(model)) and whole > 0
    assert phases["model_images_per_s"] >= whole
    assert sum(phases[f"{name}_share"] for name in PHASES) == pytest.approx(1)


def test_in_published_records_no_part_is_slower_than_the_whole():
    store = RunStore(Path(__file__).parent.parent.parent / "results/published")
    records = [r for r in store.profiles() if r.what == "end_to_end" and r.outcome == "measured"]
    table = measured_tables(records)["end_to_end"]
    assert len(table) == len(records) > 0 and (table["model_images_per_s"] >= table["images_per_s"]).all()
