"""Evaluations are jobs of their own, which read the weights that training has stored."""

import errno
import json
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from safetensors.numpy import load_file

import bench.running.execute as execute_module
import bench.training.stored as stored_module
from bench.errors import WeightsError
from bench.running.attempt import attempt
from bench.running.parcels import deliver, inputs_of, removed, results_of, unpack
from bench.store.unneeded import remove_unneeded
from bench.training.inputs import Inputs


@pytest.fixture
def trained(tiny, run, monkeypatch):
    """A store whose ViT is trained, and whose evaluation went wrong."""
    with monkeypatch.context() as patch:
        patch.setattr(execute_module, "compact", lambda *_: 1 / 0)
        store, (outcome,) = run(tiny, only=["vit"])
    assert outcome.status == "errored" and outcome.job.kind == "evaluate"
    return store, outcome.job.training.id


def test_what_went_wrong_is_evaluated_again_and_not_trained(tiny, run, trained, monkeypatch):
    store, trial = trained
    assert store.state(trial) == "errored" and "ZeroDivisionError" in store.error(trial).message
    monkeypatch.setattr(execute_module, "fit", lambda inputs: pytest.fail("trained again"))
    _, (outcome,) = run(tiny, only=["vit"])
    assert outcome.status == "finished" and store.error(trial) is None
    # Outputs met the labels both times.
    assert store.result(trial).test_evaluations == 2


@pytest.mark.parametrize(
    "damage", [lambda path: path.write_bytes(b"x" + path.read_bytes()[1:]), lambda path: path.unlink()]
)
def test_weights_that_are_lost_before_the_evaluation_are_trained_again(tiny, run, trained, caplog, damage):
    store, trial = trained
    before = load_file(store.files(trial).weights)
    damage(store.files(trial).weights)
    _, (outcome,) = run(tiny, only=["vit"])
    assert outcome.status == "finished"
    assert any("weights.safetensors" in line and "trained again" in line for line in caplog.messages)
    after = load_file(store.files(trial).weights)
    assert all(np.array_equal(after[name], value) for name, value in before.items())


@pytest.mark.parametrize(
    ("reader", "problem"),
    [
        ("read_regular", OSError(errno.ESTALE, "Stale file handle")),
        ("read_network", WeightsError("weights.safetensors: does not fit vit_digits at 16 px")),
    ],
)
def test_weights_that_cannot_be_read_now_stay(tiny, run, trained, monkeypatch, reader, problem):
    def fail(*args, **options):
        raise problem

    store, trial = trained
    before = store.files(trial).weights.stat()
    monkeypatch.setattr(execute_module, "fit", lambda inputs: pytest.fail("trained again"))
    with monkeypatch.context() as patch:
        patch.setattr(stored_module, reader, fail)
        _, (outcome,) = run(tiny, only=["vit"])
    assert outcome.status == "errored" and "weights.safetensors" in outcome.message
    _, (outcome,) = run(tiny, only=["vit"])
    assert outcome.status == "finished" and store.files(trial).weights.stat() == before


class Travelling:
    """Jobs in this process, each in a store of its own to which files go and from which they come."""

    description = "files travel"

    def run(self, queue, workspace, follow):
        while (job := queue.take()) is not None:
            with TemporaryDirectory() as folder:
                here = replace(workspace, results=Path(folder))
                here.store.prepare()
                inputs = inputs_of(job, workspace.store)
                unpack(inputs, here.store)
                outcome = attempt(job, here, follow)
                left, gone = results_of(job, here.store), removed(inputs, here.store)
                deliver(job, left, gone, workspace.store)
            queue.ended(outcome)
            yield outcome


def test_weights_that_are_found_damaged_elsewhere_are_trained_again(tiny, run, trained):
    store, trial = trained
    weights = store.files(trial).weights
    whole = weights.read_bytes()
    weights.write_bytes(b"x" + whole[1:])
    _, (outcome,) = run(tiny, only=["vit"], engine=Travelling())
    assert outcome.status == "finished" and weights.read_bytes() == whole
    assert not store.files(trial).unfinished()


def test_what_was_trained_anew_is_evaluated_anew_and_both_looks_count(tiny, run, monkeypatch):
    """On a GPU weights are not the same twice; the evaluation that is there is of the earlier ones."""
    store, (outcome,) = run(tiny, only=["vit"])
    trial, before = outcome.record.id, outcome.record.evaluation
    path = store.record_of("evaluations", before.id)
    path.write_text(json.dumps(before.content() | {"weights_sha256": 64 * "0"}))
    assert not store.is_done(trial)
    monkeypatch.setattr(execute_module, "fit", lambda inputs: pytest.fail("trained again"))
    with monkeypatch.context() as patch:
        patch.setattr(execute_module, "compact", lambda *_: 1 / 0)
        run(tiny, only=["vit"])
    list(remove_unneeded(store))
    run(tiny, only=["vit"])
    after = store.result(trial)
    assert after.test_evaluations == 3 and after.metrics == outcome.record.metrics
    assert after.evaluation.weights_sha256 == after.weights_sha256 == before.weights_sha256


def test_weights_stay_until_they_are_evaluated_and_then_go_where_none_are_kept(tiny, run, monkeypatch):
    tiny.write_text(tiny.read_text().replace("[models]", "keep_weights = false\n[models]"))
    there = []
    evaluate = execute_module.evaluate
    monkeypatch.setattr(
        execute_module,
        "evaluate",
        lambda job, inputs, *rest: (
            there.append(inputs.files.weights.exists()) or evaluate(job, inputs, *rest)
        ),
    )
    store, outcomes = run(tiny)
    assert there == [True, True] and all(outcome.status == "finished" for outcome in outcomes)
    assert not list(store.root.glob("runs/*/weights.safetensors"))
    run(tiny)
    assert there == [True, True]


@pytest.mark.parametrize("other", ["keeps it", "has a condition more"])
def test_weights_stay_as_long_as_another_suite_of_the_store_needs_them(tiny, run, monkeypatch, other):
    """The other has the same trials, and has not got as far as the ViT."""
    text, larger = tiny.read_text(), tiny.with_name("larger.toml")
    tiny.write_text(text.replace("[models]", "keep_weights = false\n[models]"))
    if other == "has a condition more":
        conditions = 'conditions = ["gaussian_noise-5"]\n'
        text = tiny.read_text().replace("[comparison.set]", f"{conditions}[comparison.set]")
    larger.write_text(text)
    _, (resnet,) = run(larger, only=["resnet"])
    store, (vit,) = run(tiny)
    assert store.is_done(vit.record.id) and store.files(vit.record.id).weights.exists()
    assert store.files(resnet.record.id).weights.exists() == (other == "keeps it")
    monkeypatch.setattr(execute_module, "fit", lambda inputs: pytest.fail("trained again"))
    run(larger)
    assert store.files(vit.record.id).weights.exists() == (other == "keeps it")


def test_a_suite_that_cannot_be_read_may_need_any_weights(tiny, run):
    tiny.write_text(tiny.read_text().replace("[models]", "keep_weights = false\n[models]"))
    store, (vit,) = run(tiny, only=["vit"])
    assert not store.files(vit.record.id).weights.exists()
    store.listing_of("other").write_text("{")
    _, (resnet,) = run(tiny)
    assert resnet.status == "finished" and store.files(resnet.record.id).weights.exists()


def test_training_cannot_open_the_test_split(tiny, run, monkeypatch):
    """Images, labels or features: whatever asks for them while training is refused."""
    opened = []
    opens = Inputs.open.__func__

    def keep(cls, *arguments, **how):
        opened.append(opens(cls, *arguments, **how))
        return opened[-1]

    monkeypatch.setattr(Inputs, "open", classmethod(keep))
    run(tiny, only=["vit"])
    training, evaluating = opened
    for split, inputs in (("test", training), ("train", evaluating), ("val", evaluating)):
        for ask in (inputs.labels, inputs.images, inputs.positions_of):
            with pytest.raises(ValueError, match=f"{split} is not opened here"):
                ask(split)
    assert len(evaluating.labels("test")) == 600
