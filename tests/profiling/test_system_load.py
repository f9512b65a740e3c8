"""How busy a machine was with something else, from made-up readings of its clocks."""

import pytest

from bench.profiling import system_load as load


@pytest.fixture
def machine(monkeypatch):
    """A machine of four cores; sets how many of them all processes and this one have used in 10 s."""
    readings = {"all": 100.0, "own": 5.0, "now": 50.0}
    monkeypatch.setattr(load, "_busy_seconds", lambda: readings["all"])
    monkeypatch.setattr(load.time, "process_time", lambda: readings["own"])
    monkeypatch.setattr(load.time, "perf_counter", lambda: readings["now"])
    monkeypatch.setattr(load.psutil, "cpu_count", lambda: 4)

    def passed(all_cores, own_cores):
        before = load.SystemLoad()
        readings["now"] += 10
        readings["all"] += 10 * all_cores
        readings["own"] += 10 * own_cores
        return before.to_dict()

    return passed


@pytest.mark.parametrize(
    ("all_cores", "own_cores", "others", "busy"),
    [(2.1, 2.0, 0.1, False), (2.5, 2.0, 0.5, True), (2.0, 2.0, 0.0, False), (1.9, 2.0, 0.0, False)],
)
def test_a_tenth_of_the_cores_taken_by_others_is_busy(machine, all_cores, own_cores, others, busy):
    found = machine(all_cores, own_cores)
    assert found["other_cores"] == pytest.approx(others) and found["busy"] is busy


def test_time_of_guests_is_not_counted_twice(monkeypatch):
    times = type(
        "Times", (), {"_asdict": lambda self: {"user": 5.0, "guest": 3.0, "idle": 9.0, "steal": 1.0}}
    )
    monkeypatch.setattr(load.psutil, "cpu_times", times)
    assert load._busy_seconds() == 6.0


@pytest.fixture
def two_boards(monkeypatch):
    """Two GPUs, of which PyTorch's first is NVML's second, which has three processes."""
    nvml = load.pynvml
    running = {"first": ["other"], "second": ["other", "another", "ours"]}
    monkeypatch.setattr(load, "gpu_handle", lambda: "second")
    monkeypatch.setattr(nvml, "nvmlInit", lambda: None)
    monkeypatch.setattr(nvml, "nvmlDeviceGetCount", lambda: 2)
    monkeypatch.setattr(nvml, "nvmlDeviceGetHandleByIndex", lambda n: ("first", "second")[n])
    monkeypatch.setattr(nvml, "nvmlDeviceGetUUID", lambda handle: f"GPU-{handle}")
    monkeypatch.setattr(nvml, "nvmlDeviceGetComputeRunningProcesses", running.__getitem__)
    return running


def test_processes_of_others_on_the_gpu(two_boards):
    assert load.others_on_gpu() == 3 and load.others_on_gpu(own=1) == 2
    two_boards["second"] = []
    assert load.others_on_gpu(own=1) == 0


def test_a_gpu_that_others_use_marks_the_row(monkeypatch):
    from bench.profiling import worker
    from bench.profiling.config import LimitConfig
    from bench.profiling.kinds import find_kind
    from bench.profiling.processes import worker_job

    monkeypatch.setattr(type(find_kind("matmul")), "measure", lambda self, config: {"busy": False})
    job = worker_job("matmul", LimitConfig("cuda", 1, "fp32"))
    for others, busy in ((None, False), (0, False), (2, True)):
        monkeypatch.setattr(load, "others_on_gpu", lambda own, others=others: others)
        found = worker.take(job)
        assert (found["busy"], found["gpu_processes"]) == (busy, others)


def test_a_reading_that_is_refused_leaves_the_others(monkeypatch, two_boards):
    nvml = load.pynvml

    def refused(*_):
        raise nvml.NVMLError(nvml.NVML_ERROR_NOT_SUPPORTED)

    for name in load.READINGS:
        monkeypatch.setitem(load.READINGS, name, refused if name == "celsius" else lambda handle: 7)
    assert load.gpu_state() == {name: 7 for name in load.READINGS if name != "celsius"}
