"""What a user waits for on a large store: planning, opening, tabulating, reporting."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from report.make_store import make_store

from bench.planning.plan import Resolver, trials_of
from bench.report.render import render
from bench.spec.suite import load_suite
from bench.store.run_store import RunStore
from bench.tables.tables import build_tables

ROOT = Path(__file__).parents[2]
RUNS = 10_000
SUITE = """
title = "large"
description = "for timing"
[models]
vit = { model = "vit_digits" }
resnet = { model = "resnet_digits" }
[[comparison]]
name = "digits"
dataset = "digits"
contestants = ["vit", "resnet"]
recipe = "scratch"
shots = [1, 2, 5, 10, 20]
replicates = 1000
input_size = 16
"""


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A store of 9,999 runs: three networks, one subset, 3,333 replicates."""
    root = tmp_path_factory.mktemp("large")
    make_store(root, replicates=RUNS // 3, shots=(5,))
    return RunStore(root)


def test_plan_10_000_trials(benchmark, tmp_path):
    path = tmp_path / "large.toml"
    path.write_text(SUITE)

    def planned():
        trials = trials_of(load_suite(str(path)))
        return Resolver(tmp_path, tmp_path, tmp_path).resolve_all(trials)

    assert len(benchmark.pedantic(planned, rounds=3)) == RUNS


def test_status_of_10_000_runs(benchmark, large):
    """As a user runs it, in a process of its own."""
    command = [sys.executable, "-m", "bench", "status", "--json", "--results", str(large.root)]
    ended = benchmark.pedantic(
        subprocess.run, args=(command,), kwargs={"capture_output": True, "cwd": ROOT, "check": True}, rounds=3
    )
    (row,) = json.loads(ended.stdout)
    assert row["trials"] == row["done"] == RUNS // 3 * 3


def test_open_a_store_of_10_000_runs(benchmark, large):
    assert len(benchmark.pedantic(large.results, rounds=3)) == RUNS // 3 * 3


def test_tables_of_10_000_runs(benchmark, large):
    tables = benchmark.pedantic(build_tables, args=(large,), rounds=2)
    assert len(tables["accuracy"]) == RUNS // 3 * 3


def test_report_of_10_000_runs(benchmark, large, tmp_path):
    benchmark.pedantic(render, args=(large, "tiny", tmp_path), rounds=1)
    assert (tmp_path / "index.html").exists()
