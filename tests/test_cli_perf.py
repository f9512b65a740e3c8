"""vcbench perf, on files that pytest-benchmark itself wrote."""

import json
import statistics
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from bench.cli.verbs import app
from bench.errors import InputError

BENCHMARK = """
def test_sum(benchmark):
    benchmark.pedantic(sum, args=(range({count}),), rounds=7)
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Two files: the second times a sum of 300 times as many numbers."""
    folder = tmp_path_factory.mktemp("perf")
    paths = []
    for name, count in (("short", 1_000), ("long", 300_000)):
        path = folder / f"{name}.json"
        (folder / "test_it.py").write_text(BENCHMARK.format(count=count))
        options = ("-q", "-p", "no:cacheprovider", "--benchmark-save-data", f"--benchmark-json={path}")
        command = (sys.executable, "-m", "pytest", "test_it.py", *options)
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        paths.append(path)
    return paths


def call(*arguments):
    result = CliRunner().invoke(app, ["perf", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


def test_a_file_is_shown_with_its_own_statistics(saved):
    (row,) = json.loads(call(saved[0], "--json"))["benchmarks"]
    seconds = json.loads(saved[0].read_text())["benchmarks"][0]["stats"]["data"]
    assert row["name"] == "test_it.py::test_sum" and row["rounds"] == len(seconds) == 7
    assert row["median_s"] == pytest.approx(statistics.median(seconds))
    assert row["ops_per_s"] == pytest.approx(1 / statistics.mean(seconds))
    text = call(saved[0])
    assert f"{1000 * statistics.median(seconds):.4g}" in text
    assert "MEDIAN MS" in text and "IQR MS" in text and "commit" in text and "Python 3." in text


def test_two_files_are_compared(saved):
    told = json.loads(call(*saved, "--json"))
    (row,) = told["benchmarks"]
    medians = [json.loads(path.read_text())["benchmarks"][0]["stats"]["median"] for path in saved]
    assert row["ratio"] == pytest.approx(medians[1] / medians[0]) and row["ratio"] > 1
    assert [one["file"] for one in told["files"]] == [str(path) for path in saved]
    assert "RATIO" in call(*saved)


@pytest.mark.parametrize("content", ['{"format": 1}', "[]", "not JSON", '{"benchmarks": 1}'])
def test_a_file_of_another_kind_is_refused(tmp_path, content):
    path = tmp_path / "other.json"
    path.write_text(content)
    with pytest.raises(InputError, match="other.json"):
        call(path)


def test_files_without_a_common_benchmark_are_refused(saved, tmp_path):
    other = json.loads(saved[0].read_text())
    other["benchmarks"][0]["fullname"] = "elsewhere"
    path = tmp_path / "elsewhere.json"
    path.write_text(json.dumps(other))
    with pytest.raises(InputError, match="no benchmark in common"):
        call(saved[0], path)
