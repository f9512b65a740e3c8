"""What a pick says after fine-tuning, by how that ended."""

from collections import Counter
from pathlib import Path

import pytest

from bench.cli.picking import Place, _go_on
from bench.cli.progress import Stop
from bench.picking.length import SHORTEST
from bench.picking.trained import Trained

NAMES = ["vit", "resnet"]


@pytest.fixture
def go_on(monkeypatch):
    """The end of the answer, where fine-tuning has ended with such counts and so many replicates."""

    def run(*rest, warn, **more):
        warn("labels differ")
        return Counter(ended)

    ended = {}

    def call(replicates, counts, models=NAMES):
        ended.update(counts)
        trained = {
            (recipe, name): Trained(0.5, 0.5, None, replicates if recipe == "finetune" else 1)
            for recipe in ("finetune", "linear-probe")
            for name in models
        }
        for name, given in {
            "bench.picking.suite.length_in": (SHORTEST, NAMES),
            "bench.picking.suite.write_pick_suite": None,
            "bench.spec.suite.load_suite": None,
            "bench.picking.trained.trained_by": trained,
        }.items():
            monkeypatch.setattr(name, lambda *rest, given=given, **more: given)
        monkeypatch.setattr("bench.cli.running.run_and_tabulate", run)
        place = Place(Path("store"))
        return _go_on(None, "photos", Path("pick-photos.toml"), place, Stop(60), 60.0, quiet=True)[1]

    return call


def test_replicates_are_asked_for_until_there_are_three(go_on, capsys):
    command = "vcbench run pick-photos.toml --results store"
    assert go_on(1, {}) == f"Three replicates would show how much of it is luck: {command}"
    assert "warning: labels differ" in capsys.readouterr().err  # although nobody watches
    done = go_on(3, {})
    assert "the first of 3 replicates" in done and done.endswith("vcbench report pick-photos --results store")


@pytest.mark.parametrize("models", [NAMES, NAMES[:1]])
def test_trainings_that_errored_are_told(go_on, models):
    said = go_on(1, {"errored": 2, "finished": 2}, models)
    assert said.startswith("2 trials of fine-tuning errored (see: vcbench status --results store); try again")
    assert said.endswith("vcbench run pick-photos.toml --results store")


def test_trainings_for_which_there_was_no_time_are_told(go_on):
    assert "did not end in time; go on with: vcbench run" in go_on(1, {"finished": 2}, NAMES[:1])
