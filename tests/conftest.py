"""What every test shares: a private cache, and the real data where it is."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

# Small networks on two threads are slower than on one, many times so on a busy machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest  # noqa: E402

ROOT = Path(__file__).parent.parent
NO_REAL_DATA = "the real datasets are not here"

# By itself hypothesis fails an example that takes longer than 200 ms, as any may on a busy machine. The
# environments of the browser and of timing do without it.
if find_spec("hypothesis"):
    from hypothesis import settings

    settings.register_profile("patient", deadline=None)
    settings.load_profile("patient")


@pytest.fixture(scope="session", autouse=True)
def private_cache(tmp_path_factory):
    """Caches of one test run are its own."""
    folder = tmp_path_factory.mktemp("cache")
    os.environ["VCBENCH_CACHE"] = str(folder)
    return folder


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of the real datasets and weights."""
    for folder in (os.environ.get("VCBENCH_DATA"), ROOT / ".data", ROOT / "data"):
        if folder and (Path(folder) / "flowers-102" / "setid.mat").is_file():
            return Path(folder)
    pytest.skip(NO_REAL_DATA)


def pytest_terminal_summary(terminalreporter):
    """One line that says what was not tested for want of data."""
    skipped = [
        report for report in terminalreporter.stats.get("skipped", []) if NO_REAL_DATA in str(report.longrepr)
    ]
    if skipped:
        terminalreporter.write_line(
            f"{len(skipped)} tests of real data and weights were skipped: "
            "VCBENCH_DATA is not the folder of Flowers102, CIFAR-100 and the weights"
        )


@pytest.fixture
def vcbench(tmp_path, monkeypatch, capsys):
    """Runs the command line in this process, in an empty folder; gives status, stdout, stderr."""
    from bench.cli import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["vcbench", *arguments])
        capsys.readouterr()
        try:
            main()
            status = 0
        except SystemExit as end:
            status = end.code or 0
        return status, *capsys.readouterr()

    return call


@pytest.fixture(scope="session")
def pictures():
    """A few JPEG files, made once."""
    from bench.profiling.jpegs import make_jpegs

    return make_jpegs(3)


@pytest.fixture
def here(monkeypatch, pictures):
    """What `vcbench profile` asks of worker processes is done in this process, on small matrices."""
    from bench.profiling import bandwidth, end_to_end, job, loading, matmul, processes, worker

    monkeypatch.setitem(matmul.SHAPES, "cpu", ((32, 32, 32), (64, 64, 64)))
    monkeypatch.setitem(bandwidth.ARRAY_BYTES, "cpu", 2**12)
    monkeypatch.setattr(loading, "CACHED", 8)
    # What is timed in microseconds is never stable, and more processes would only take longer.
    monkeypatch.setattr(job, "PATIENCE", 1)
    for module in (end_to_end, loading):
        monkeypatch.setattr(module, "make_jpegs", lambda: pictures)
    monkeypatch.setattr(processes, "ask", lambda job, *_: worker.take(job | {"memory_limit": None}))
