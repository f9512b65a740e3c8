"""A tiny suite of real trials on the bundled digits."""

from pathlib import Path

import pytest

SUITE = """
title = "tiny"
description = "for tests"
[models]
vit = { model = "vit_digits" }
resnet = { model = "resnet_digits" }
[[comparison]]
name = "digits"
dataset = "digits"
contestants = ["vit", "resnet"]
recipe = "scratch"
shots = [3]
replicates = 1
input_size = 16
contrasts = [["vit", "resnet"]]
[comparison.set]
"budget.epochs" = 4
"budget.min_steps" = 8
"budget.batch_size" = 8
"augment.flip" = false
"""


@pytest.fixture
def tiny(tmp_path) -> Path:
    """The path of the suite's file."""
    path = tmp_path / "tiny.toml"
    path.write_text(SUITE)
    return path


@pytest.fixture
def run(tmp_path):
    """Runs a suite file into a store below the test's folder; returns the store and how each trial ended."""

    def call(
        path,
        *,
        results="store",
        settings=(),
        follow=None,
        should_stop=lambda: False,
        data_dir=None,
        engine=None,
        **options,
    ):
        from bench.running.engines.in_process import InProcess
        from bench.running.runner import run_suite
        from bench.running.workspace import Workspace
        from bench.spec.suite import load_suite
        from bench.store.run_store import RunStore
        from bench.training.observer import Silent

        workspace = Workspace(Path(data_dir or tmp_path), tmp_path / "weights", tmp_path / results, "cpu")
        outcomes = []
        run_suite(
            load_suite(str(path), settings),
            workspace,
            engine or InProcess(),
            follow=follow or (lambda job: Silent()),
            should_stop=should_stop,
            ended=lambda outcome: outcomes.append(outcome) if outcome.ends_trial else None,
            **options,
        )
        return RunStore(workspace.results), outcomes

    return call
