"""Which rows may stand beside each other: same place, same conditions, latest of equals."""

import pandas as pd
import pytest
from report.make_profiles import CPU, GPU, add_profiles, images_per_s, make_profiled_suite

from bench.errors import InputError
from bench.files import slug
from bench.report.cite import bibliography, citation, to_model_index
from bench.report.evidence import gather
from bench.report.measured import alike, brief, in_words, places, rate, state
from bench.report.numbers import numbers
from bench.report.render import header_of
from bench.store import RunStore

MODELS = ["deit_tiny_patch16_224", "resnet18", "resnet50"]
ROW = {
    "mode": "infer",
    "outcome": "measured",
    "input_size": 224,
    "classes": 1000,
    "precision": "fp32",
    "memory_format": "contiguous",
    "compiled": False,
    "threads": 2,
    "torch": "2.11.0",
    "batch_size": 1,
    "finished": "2026-03-01",
}


def rows(*changes):
    return pd.DataFrame([ROW | {"profile": str(number), **change} for number, change in enumerate(changes)])


@pytest.fixture(scope="module")
def evidence(tmp_path_factory):
    root = tmp_path_factory.mktemp("profiled")
    make_profiled_suite(root, MODELS, fits={"resnet50": 16})
    add_profiles(root, MODELS[:2], place=GPU, speedup=100)
    add_profiles(root, ["convnext_tiny"])
    return gather(RunStore(root), "backbones")


def test_places_hold_the_rows_of_their_machine_alone(evidence):
    cpu, gpu = evidence.places
    assert (cpu.kind, cpu.key, gpu.kind, gpu.key) == ("CPU", "cpu", "GPU", "example-gpu")
    assert set(cpu.speed["machine"]) == {CPU["machine"]} and set(gpu.memory["device"]) == {GPU["device"]}
    assert len(cpu.speed) + len(gpu.speed) == len(evidence.measured["speed"])


def test_only_models_of_the_suite_are_shown(evidence):
    assert set(evidence.measured["speed"]["model"]) == set(MODELS) == set(evidence.model_looks)
    assert not evidence.trains


def test_two_machines_with_the_same_device_have_names_of_their_own():
    table = pd.DataFrame({"device": ["cpu", "cpu"], "machine": ["B", "A"], "model": ["m", "m"]})
    nothing = table.iloc[:0]
    found = places({"speed": table, "memory": nothing, "end_to_end": nothing, "loading": nothing})
    assert [(place.key, place.machine) for place in found] == [("cpu", "A"), ("cpu-2", "B")]


def test_the_common_batch_is_the_largest_that_all_models_have(evidence):
    cpu = evidence.places[0]
    found = alike(cpu.speed)
    assert set(found.rows["batch_size"]) == {16} and len(found.rows) == 3
    assert found.words.startswith("inference, fp32, contiguous, eager, batch 16, 224 px")
    by_model = dict(zip(found.rows["model"], found.rows["images_per_s"], strict=True))
    assert by_model["resnet18"] == pytest.approx(images_per_s(1.814, 16))


def test_what_ran_out_of_memory_is_among_the_rows(evidence):
    found = alike(evidence.places[0].speed, over="batch_size").rows
    lost = found[found["outcome"] == "out_of_memory"]
    assert set(lost["model"]) == {"resnet50"} and list(lost["batch_size"]) == [32, 64, 128]


def test_most_models_decide_then_the_plain_setting():
    found = alike(
        rows(
            {"model": "a", "precision": "bf16"},
            {"model": "b", "precision": "bf16"},
            {"model": "a"},
            {"model": "a", "compiled": True},
        )
    )
    assert set(found.rows["precision"]) == {"bf16"} and len(found.rows) == 2
    found = alike(rows({"model": "a", "precision": "bf16"}, {"model": "a"}, {"model": "a", "compiled": True}))
    assert list(found.rows["profile"]) == ["1"]


@pytest.mark.parametrize(("name", "value"), [("threads", 4), ("torch", "2.12.0"), ("classes", 10)])
def test_rows_that_differ_in_a_condition_do_not_meet(name, value):
    found = alike(rows({"model": "a"}, {"model": "b", name: value}))
    assert len(found.rows) == 1


def test_the_latest_of_equal_settings_stands():
    found = alike(rows({"model": "a", "finished": "2026-04-01"}, {"model": "a"}))
    assert list(found.rows["profile"]) == ["0"]


def test_failures_alone_are_nothing():
    assert alike(rows({"model": "a", "outcome": "failed"})) is None
    assert alike(rows({"model": "a"}), mode="train") is None


def test_state_says_what_disturbed_a_row():
    missing = {"unstable": pd.NA, "busy": pd.NA, "steady": pd.NA}
    assert state({"outcome": "measured", **missing}) == ()
    disturbed = {"outcome": "measured", "busy": True, "other_cores": 0.74, "unstable": True}
    assert state(disturbed) == ("machine busy: 0.7 cores of other work", "unstable")
    apart = {"outcome": "measured", "unstable": True, "images_per_s": 10.0, "earlier_images_per_s": 12.5}
    assert state(apart) == ("unstable: 10.0 images/s now, 12.5 earlier",)
    assert state({"outcome": "failed", "reason": "output is not finite"}) == ("output is not finite",)
    assert state({"outcome": "out_of_memory", "reason": None, "busy": True}) == ("out of memory",)


def test_words_and_numbers():
    words = in_words(
        ROW | {"mode": "train", "compiled": True, "memory_format": "channels_last", "threads": 1}
    )
    expected = "training step, fp32, channels last, compiled, batch 1, 224 px, 1\u202f000 classes, 1 thread"
    assert words == f"{expected}, torch 2.11.0"
    assert [rate(x) for x in (0.123, 12.34, 123.4, 1234.5, float("nan"))] == [
        "0.12",
        "12.3",
        "123",
        "1\u202f234",
        "not measured",
    ]
    assert [brief(x) for x in (0.01234, 999.4, 1333.3)] == ["0.0123", "999", "1\u202f333"]


def test_costs_and_speeds_are_numbers_for_a_paper(evidence):
    text = numbers(evidence, header_of(evidence))
    rate_of = images_per_s(1.814, 16)
    assert rf"\csname vcnum@speed/cpu/infer/resnet18/images-per-s\endcsname{{{rate_of:.3g}}}" in text
    assert "vcnum@memory/example-gpu/infer/resnet18/peak-mib" in text
    for row in evidence.cost.to_dict("records"):
        key = f"cost/{slug(row['model'])}/{row['classes']}/{row['input_size']}/gmacs"
        assert rf"\csname vcnum@{key}\endcsname{{{row['flops'] / 2e9:.3f}}}" in text
    assert text.isascii()


def test_a_suite_that_trains_nothing_is_cited_by_its_speeds(evidence):
    cited = citation(evidence.store, "backbones")
    on_cpu = [sentence for sentence in cited.sentences if sentence.startswith("On the CPU")]
    assert len(on_cpu) == len(MODELS)
    assert all("images/s (95 % interval" in sentence and "batch 16" in sentence for sentence in on_cpu)
    assert cited.results_hash in bibliography(evidence)
    with pytest.raises(InputError, match="trains nothing"):
        to_model_index(evidence.store, "backbones")
