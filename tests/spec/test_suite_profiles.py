"""Profiles that a suite asks for: planned, measured, interrupted, resumed, listed."""

import json
import re
import signal
from pathlib import Path

import pandas as pd
import pytest

from bench.errors import InputError
from bench.planning.conditions import conditions_of
from bench.profiling import processes
from bench.profiling.plan import planned_profiles, require_runtimes
from bench.spec.suite import fingerprint, load_suite, suite_names

ROOT = Path(__file__).parent.parent.parent

SUITE = """
title = "t"
description = "d"
[[profiles.cost]]
models = ["vit_digits"]
input_size = 16
[[profiles.measured]]
what = ["speed", "memory", "end_to_end", "energy"]
models = ["vit_digits", "resnet_digits"]
batch_sizes = [1, 2]
input_size = 16
classes = 10
repeats = 2
seconds = 0.0
"""


@pytest.fixture
def suite(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(SUITE)
    return str(path)


@pytest.fixture
def table(tmp_path):
    return lambda name: pd.read_csv(tmp_path / "results/tables" / f"{name}.csv")


def test_everything_asked_for_is_planned_once(suite):
    planned = planned_profiles(load_suite(suite), (), "cpu")
    assert len({profile.id for profile in planned}) == len(planned)
    counts = {what: sum(p.what == what for p in planned) for what in ("cost", "speed", "memory", "energy")}
    assert counts == {"cost": 1, "speed": 4, "memory": 4, "energy": 0}
    assert sum(p.what == "end_to_end" for p in planned) == 4
    assert sorted(p.config.path for p in planned if p.what == "loading") == ["cache", "jpeg"]


@pytest.mark.parametrize("name", suite_names())
def test_the_suites_profiles_can_be_made(name):
    from bench.networks import find_card

    loaded = load_suite(name)
    for asked in loaded.profiles.measured:
        assert all(find_card(model).carded for model in asked.models)
    if name == "quick":
        measured = {model for asked in loaded.profiles.measured for model in asked.models}
        assert measured == {own.model for own in loaded.models.values()}
    elif name == "backbones":
        assert not loaded.comparison and loaded.profiles.cost
        words = {word for asked in loaded.profiles.measured for word in asked.what}
        assert words == {"speed", "memory", "energy", "scaling", "end_to_end"}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"energy"]', '"enegry"]', ["profiles.measured.0.what", "energy"]),
        ("batch_sizes = [1, 2]", "batch_sizes = [0]", ["batch_sizes", "greater than or equal to 1"]),
        ("repeats = 2", "processes = 2", ["processes", "3"]),
        ("classes = 10", 'modes = ["train"]', ["end_to_end", "infer"]),
        ("classes = 10", "clases = 10", ["clases", '"classes"']),
        ("[[profiles", "[[profile", ["profile"]),
        ("classes = 10", 'runtimes = ["torch", "onnx"]', ["runtimes.1", "onnxruntime, openvino"]),
        ("classes = 10", 'runtimes = ["onnxruntime"]', ["runtimes", '"torch" too']),
        ("classes = 10", "int8 = true", ["int8", "onnxruntime"]),
        (
            '"memory", ',
            '"memory"]\nruntimes = ["torch", "openvino"]\nmodes = ["train"]\n#',
            ["modes", "infer"],
        ),
        ('"speed", "memory", ', '"scaling"]\nruntimes = ["torch", "openvino"]\n#', ["what", '"speed"']),
    ],
)
def test_a_wrong_form_is_told_in_one_line(tmp_path, old, new, words):
    path = tmp_path / "mine.toml"
    path.write_text(SUITE.replace(old, new))
    with pytest.raises(InputError) as caught:
        load_suite(str(path))
    assert "\n" not in str(caught.value) and all(word in str(caught.value) for word in words)


def test_runtimes_are_measured_on_the_cpu_and_the_suite_is_otherwise_the_same(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(SUITE)
    plain = load_suite(str(path))
    path.write_text(SUITE + 'runtimes = ["torch"]\nint8 = false\n')
    assert fingerprint(load_suite(str(path))) == fingerprint(plain)
    assert "runtimes" not in plain.headlines[0]
    path.write_text(SUITE + 'runtimes = ["torch", "openvino"]\nint8 = true\n')
    suite = load_suite(str(path))
    assert fingerprint(suite) != fingerprint(plain)
    assert suite.headlines[0]["runtimes"] == [["openvino", "fp32"], ["openvino", "int8"]]
    before, after = (planned_profiles(one, (), "cpu") for one in (plain, suite))
    ids = {profile.id for profile in before}
    assert ids <= {profile.id for profile in after}
    more = [profile for profile in after if profile.id not in ids]
    assert len(more) == 2 * 2 * 2 * 2  # kinds, models, batches, precisions
    assert {(one.what, one.config.runtime, one.config.device) for one in more} == {
        ("speed", "openvino", "cpu"),
        ("memory", "openvino", "cpu"),
    }


def test_the_suites_of_the_guide_to_deployment_and_of_the_example_are_some(tmp_path):
    guide = (ROOT / "docs/taking-away.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```toml\n(.*?)```", guide, re.DOTALL)
    (tmp_path / "mine.toml").write_text('title = "t"\ndescription = "d"\n' + block)
    for path in (tmp_path / "mine.toml", ROOT / "examples/where-it-runs.toml"):
        suite = load_suite(str(path))
        (comparison,) = suite.comparison
        assert conditions_of(suite, comparison) == ("int8_onnxruntime", "int8_openvino")
        exported = [p for p in planned_profiles(suite, (), "cpu") if getattr(p.config, "deployed", False)]
        assert len(exported) == 2 * 2 * 2 * 2 * 2
        require_runtimes(suite)


def test_precisions_that_the_device_lacks(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(SUITE + 'precisions = ["tf32"]\n')
    with pytest.raises(InputError, match=r"mine: .*precisions tf32: only on CUDA"):
        planned_profiles(load_suite(str(path)), (), "cpu")


def test_a_suite_of_profiles_alone_is_run_once(vcbench, here, suite, table, tmp_path):
    status, out, err = vcbench("run", suite, "--device", "cpu")
    assert status == 0 and "14 measured" in out and out.count("energy counter") == 1, err
    assert len(table("speed")) == len(table("end_to_end")) == 4
    listed = json.loads((tmp_path / "results/suites/mine.json").read_text())
    stored = {path.name for path in (tmp_path / "results/profiles").iterdir()}
    assert set(listed["profiles"]) == stored and listed["trials"] == []
    assert not list((tmp_path / "results/profiles").glob("*/processes.json"))
    status, out, _ = vcbench("run", suite, "--device", "cpu")
    assert status == 0 and "nothing was missing" in out
    planned = json.loads(vcbench("plan", suite, "--device", "cpu", "--json")[1])
    assert {row["state"] for row in planned["profiles"]} == {"done"} and len(planned["profiles"]) == 15
    assert "15 of 15" in vcbench("status")[1]
    only = json.loads(vcbench("plan", suite, "--device", "cpu", "--only", "profiles", "--json")[1])
    assert only["profiles"] == planned["profiles"]
    status, _, err = vcbench("plan", suite, "--only", "profile")
    assert status == 2 and '"profiles"' in err


def test_interrupted_it_goes_on_from_the_processes_that_are_done(
    vcbench, here, suite, table, tmp_path, monkeypatch
):
    """Ctrl-C in the second round: no process's result is lost, and none is measured twice."""
    ask, asked = processes.ask, []

    def interrupted(job, *_):
        if job["kind"] != "memory":
            asked.append(job["kind"])
            if len(asked) == 17:
                signal.raise_signal(signal.SIGINT)
        return ask(job)

    monkeypatch.setattr(processes, "ask", interrupted)
    status, out, _ = vcbench("run", suite, "--device", "cpu")
    assert status == 130 and "the same command continues" in out and len(asked) == 17
    kept = [json.loads(p.read_text()) for p in (tmp_path / "results/profiles").glob("*/processes.json")]
    limits = sum(kind in ("matmul", "bandwidth") for kind in asked)
    assert limits == 4 and sum(len(one["results"]) for one in kept) == 17 - limits
    assert table("speed").empty and len(table("memory")) == 4
    status, out, _ = vcbench("run", suite, "--device", "cpu")
    assert status == 0 and "10 measured" in out
    assert sum(kind not in ("matmul", "bandwidth") for kind in asked) == 30
    assert set(table("speed")["processes"]) == {3}


def test_profiles_can_be_had_without_the_trials_and_the_other_way_round(vcbench, here, table, tmp_path):
    path = tmp_path / "both.toml"
    path.write_text(
        """
title = "t"
description = "d"
[models]
vit = { model = "vit_digits" }
[[comparison]]
name = "digits"
dataset = "digits"
contestants = ["vit"]
recipe = "scratch"
shots = [2]
replicates = 1
input_size = 16
set = { "augment.flip" = false, "augment.random_crop" = "none", "budget.epochs" = 1, "budget.min_steps" = 1 }
[[profiles.measured]]
what = ["speed"]
models = ["vit_digits"]
input_size = 16
classes = 10
repeats = 2
seconds = 0.0
"""
    )
    status, out, err = vcbench("run", str(path), "--device", "cpu", "--only", "digits")
    assert status == 0 and "1 finished" in out and "measured" not in out, err
    assert table("speed").empty and len(table("accuracy")) == 1
    status, out, err = vcbench("run", str(path), "--device", "cpu", "--only", "profiles")
    assert status == 0 and "1 measured" in out and "finished" not in out, err
    assert len(table("speed")) == 1 and len(table("accuracy")) == 1


def test_what_was_measured_elsewhere_stays_in_a_suite_that_still_asks_for_it(
    vcbench, here, tmp_path, monkeypatch
):
    def listed(machine, batches):
        monkeypatch.setenv("VCBENCH_MACHINE", machine)
        text = SUITE.replace("[1, 2]", batches).replace(', "resnet_digits"', "")
        path = tmp_path / "mine.toml"
        path.write_text(text.replace('"speed", "memory", "end_to_end", "energy"', '"memory"'))
        status, _, err = vcbench("run", str(path), "--device", "cpu", "--only", "profiles")
        assert status == 0, err
        names = json.loads((tmp_path / "results/suites/mine.json").read_text())["profiles"]
        records = [json.loads((tmp_path / f"results/profiles/{n}/record.json").read_text()) for n in names]
        return {(r["machine"], r["threads"], r["batch_size"]) for r in records if r["what"] == "memory"}

    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert listed("first", "[1, 2]") == {("first", 2, 1), ("first", 2, 2)}
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert listed("second", "[1, 2]") == {(m, t, b) for m, t in (("first", 2), ("second", 1)) for b in (1, 2)}
    assert listed("second", "[1]") == {("first", 2, 1), ("second", 1, 1)}


def test_one_process_measures_in_a_store_at_a_time(vcbench, here, suite, tmp_path, monkeypatch):
    """While another holds the store nothing is measured; once it has measured all, there is nothing to do."""
    from bench.running import runner as run
    from bench.store.run_store import RunStore

    store, looks, asked = RunStore(tmp_path / "results"), [], []
    ask = processes.ask
    monkeypatch.setattr(processes, "ask", lambda *job: asked.append(job) or ask(*job))
    store.prepare()
    with store.claim(run.PROFILES):
        status, _, err = vcbench("profile", "vit_digits", "--input-size", "16", "--device", "cpu")
        assert status == 2 and "another process is measuring in this store" in err and not asked
        planned = planned_profiles(load_suite(suite), (), "cpu")

        def other(seconds):
            looks.append(seconds)
            for one in planned if len(looks) == 3 else ():
                store.finish_profile(
                    one.id, {"id": one.id, "what": "speed", "outcome": "measured", "versions": {}}
                )

        monkeypatch.setattr(run.time, "sleep", other)
        told = []
        assert run._measure(planned, store, told.append, lambda: False) == 0
        assert len(looks) == 3 and len(told) == 1 and not asked
        monkeypatch.setattr(RunStore, "has_profile", lambda self, run: False)
        assert run._measure(planned, store, told.append, lambda: len(looks) > 5) == 0
        assert len(looks) == 6, "a stop is heeded while it waits"
