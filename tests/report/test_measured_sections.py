"""Which rows may stand beside each other: same place, same conditions, latest of equals."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest
from report.make_profiles import CPU, GPU, add_profiles, images_per_s, make_profiled_suite
from small_store import listing

from bench.errors import InputError
from bench.exchange.cite import citation, to_model_index
from bench.files import slug
from bench.report.citation import bibliography
from bench.report.evidence import gather
from bench.report.measured import Platform, headline_rows, headlines_of, platforms
from bench.report.render import header_of
from bench.report.row_text import describe_setting, rate, row_notes, three_digits
from bench.report.sections.answer import shown_on
from bench.report.writers.macros import latex_macros
from bench.store.run_store import RunStore

PUBLISHED = Path(__file__).parents[2] / "results" / "published"
MODELS = ["deit_tiny_patch16_224", "resnet18", "resnet50"]
ROW = {
    "mode": "infer",
    "outcome": "measured",
    "input_size": 224,
    "classes": 1000,
    "precision": "fp32",
    "memory_format": "contiguous",
    "allocator": "keep_freed",
    "as_trained": True,
    "device": "cpu",
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
    cpu, gpu = evidence.platforms
    assert (cpu.kind, cpu.key, gpu.kind, gpu.key) == ("CPU", "cpu", "GPU", "example-gpu")
    assert set(cpu.speed["machine"]) == {CPU["machine"]} and set(gpu.tables["memory"]["device"]) == {
        GPU["device"]
    }
    assert len(cpu.speed) + len(gpu.speed) == len(evidence.measured["speed"])


def test_only_models_of_the_suite_are_shown(evidence):
    assert set(evidence.measured["speed"]["model"]) == set(MODELS) == set(evidence.model_styles)
    assert not evidence.trains


def test_two_machines_with_the_same_device_have_names_of_their_own():
    table = pd.DataFrame({"device": ["cpu", "cpu"], "machine": ["B", "A"], "model": ["m", "m"]})
    nothing = table.iloc[:0]
    found = platforms({"speed": table, "memory": nothing, "end_to_end": nothing, "loading": nothing})
    assert [(place.key, place.machine) for place in found] == [("cpu", "A"), ("cpu-2", "B")]


def test_a_headline_is_what_the_suite_declares(evidence):
    """The largest batch that it names, of which one model ran out of memory."""
    cpu = evidence.platforms[0]
    (declared,) = evidence.headlines
    assert (declared.mode, declared.batch_size) == ("infer", 128)
    found = headline_rows(cpu, "speed", declared, batch_sizes=[16])
    assert set(found.rows["batch_size"]) == {16} and len(found.rows) == 3
    assert found.setting.startswith("inference, fp32, as trained, batch 16, 224 px")
    by_model = dict(zip(found.rows["model"], found.rows["images_per_s"], strict=True))
    assert by_model["resnet18"] == pytest.approx(images_per_s(1.814, 16))
    largest = headline_rows(cpu, "speed", declared, batch_sizes=[128]).rows.set_index("model")
    assert largest.at["resnet50", "outcome"] == "out_of_memory"


def test_what_ran_out_of_memory_is_among_the_rows(evidence):
    found = headline_rows(evidence.platforms[0], "speed", evidence.headlines[0]).rows
    lost = found[found["outcome"] == "out_of_memory"]
    assert set(lost["model"]) == {"resnet50"} and list(lost["batch_size"]) == [32, 64, 128]


def headline(**changes):
    one = {"mode": "infer", "input_size": 224, "classes": 1000, "precision": "fp32", "batch_sizes": [1]}
    return headlines_of(listing(headlines=[one | {"scaling_batch_size": None} | changes]))[0]


def at(table):
    empty = table.iloc[:0]
    return Platform("cpu", "m", "cpu", 2, "2.11.0", False, {"speed": table, "memory": empty})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("classes", 10),
        ("precision", "bf16"),
        ("input_size", 96),
        ("batch_size", 2),
        ("mode", "train"),
        ("as_trained", False),
        ("as_trained", pd.NA),
    ],
)
def test_rows_in_another_setting_are_no_headline(name, value):
    found = headline_rows(at(rows({"model": "a"}, {"model": "b", name: value})), "speed", headline())
    assert list(found.rows["model"]) == ["a"]


@pytest.mark.parametrize(("name", "value"), [("threads", 4), ("torch", "2.12.0")])
def test_threads_and_torch_make_a_place_of_their_own(name, value):
    table = rows({"model": "a"}, {"model": "a", name: value}).assign(device="cpu", machine="M")
    nothing = table.iloc[:0]
    found = platforms({"speed": table, "memory": nothing, "end_to_end": nothing, "loading": nothing})
    assert [len(place.speed) for place in found] == [1, 1]
    assert len({place.name for place in found}) == 2 and str(value) in found[1].name


def test_the_latest_of_equal_settings_stands():
    table = rows({"model": "a", "finished": "2026-04-01"}, {"model": "a"})
    assert list(headline_rows(at(table), "speed", headline()).rows["profile"]) == ["0"]


def test_failures_alone_are_nothing():
    assert headline_rows(at(rows({"model": "a", "outcome": "failed"})), "speed", headline()) is None
    assert headline_rows(at(rows({"model": "a"})), "speed", headline(mode="train")) is None


def test_a_listing_of_an_earlier_version_compares_what_is_measured_by_default():
    sizes = [{"name": str(place), "input_size": size} for place, size in enumerate((32, 224, 32))]
    found = headlines_of(listing(comparisons=sizes))
    assert [(one.mode, one.input_size) for one in found] == [
        ("infer", 32), ("infer", 224), ("train", 32), ("train", 224)
    ]  # fmt: skip
    assert {(one.precision, one.classes, one.batch_size) for one in found} == {("fp32", 1000, 32)}


def test_state_says_what_disturbed_a_row():
    missing = {"unstable": pd.NA, "busy": pd.NA, "steady": pd.NA}
    assert row_notes({"outcome": "measured", **missing}) == ()
    disturbed = {"outcome": "measured", "busy": True, "other_cores": 0.74, "unstable": True}
    assert row_notes(disturbed) == ("machine busy: 0.7 cores of other work", "unstable")
    apart = {"outcome": "measured", "unstable": True, "images_per_s": 10.0, "earlier_images_per_s": 12.5}
    assert row_notes(apart) == ("unstable: 10.0 images/s now, 12.5 earlier",)
    assert row_notes(apart | {"as_trained": True}) == ("withheld: unstable, far from an earlier measurement",)
    assert row_notes({"outcome": "failed", "reason": "output is not finite"}) == ("output is not finite",)
    assert row_notes({"outcome": "out_of_memory", "reason": None, "busy": True}) == ("out of memory",)


def test_words_and_numbers():
    words = describe_setting(
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
    assert [three_digits(x) for x in (0.01234, 999.4, 1333.3)] == ["0.0123", "999", "1\u202f333"]


def test_costs_and_speeds_are_numbers_for_a_paper(evidence):
    text = latex_macros(evidence, header_of(evidence))
    rate_of = images_per_s(1.814, 16)
    where = "cpu/example-cpu-2-cores-8-gib/infer/resnet18/fp32-channels-last-eager-freed-kept"
    setting = "batch-16/224px/1000-classes/2-threads/torch-2-11-0"
    assert rf"\csname vcnum@speed/{where}/{setting}/images-per-s\endcsname{{{rate_of:.3g}}}" in text
    where = "example-gpu/example-server/infer/resnet18/fp32-channels-last-eager-cudnn-benchmark"
    assert (
        f"vcnum@memory/{where}/batch-1/224px/1000-classes/8-threads/torch-2-11-0/peak-allocated-mib" in text
    )
    for row in evidence.cost.to_dict("records"):
        key = f"cost/{slug(row['model'])}/{row['classes']}/{row['input_size']}/gmacs"
        assert rf"\csname vcnum@{key}\endcsname{{{row['flops'] / 2e9:.3f}}}" in text
    assert text.isascii()


def keys(root):
    found = gather(RunStore(root), "backbones")
    pairs = re.findall(r"csname vcnum@(\S+)\\endcsname\{(.*)\}", latex_macros(found, header_of(found)))
    assert len(dict(pairs)) == len(pairs), "a key twice"
    return dict(pairs)


def test_no_other_profile_changes_what_a_key_says(tmp_path):
    """A third model that fits small batches only, other settings of the same models, a second machine whose
    name comes first, other threads, and the same measured anew with another timm: keys keep their values."""
    make_profiled_suite(tmp_path, MODELS[:2], more=True)
    before = keys(tmp_path)
    assert sum(key.startswith("speed/") for key in before) == 2 * 8 * 2
    add_profiles(tmp_path, MODELS[2:], fits={"resnet50": 2})
    listing = tmp_path / "suites/backbones.json"
    content = json.loads(listing.read_text())
    listing.write_text(json.dumps(content | {"profiles": [*content["profiles"], "resnet50-cost-1000"]}))
    changes = [
        {"machine": "A CPU, 2 cores"},
        {"precision": "bf16"},
        {"memory_format": "contiguous", "as_trained": False},
        {"allocator": "default", "as_trained": False},
        {"allocator": None, "as_trained": None},
        {"compiled": True},
        {"threads": 1},
        {"classes": 10},
        {"batch_size": 3},
        {"input_size": 96},
        {"mode": "train"},
        {"versions": {"torch": "2.12.0"}},
        {"versions": {"torch": "2.11.0", "timm": "9"}, "finished": "2027-01-01T00:00:00+00:00"},
    ]
    for path in sorted(tmp_path.glob("profiles/resnet18-infer-8-cpu-*/record.json")):
        record = json.loads(path.read_text())
        for number, change in enumerate(changes):
            other = record | {"id": f"{record['id']}-{number}"} | change
            other |= {
                name: 5555.0
                for name in ("images_per_s", "latency_ms_median", "peak_rss_mib")
                if name in other
            }
            folder = tmp_path / "profiles" / other["id"]
            folder.mkdir()
            (folder / "record.json").write_text(json.dumps(other))
    after = keys(tmp_path)
    assert {key: after[key] for key in before} == before
    assert sum(value == "5555" for value in after.values()) == 3 * len(changes)


def test_a_suite_that_trains_nothing_is_cited_by_its_speeds(evidence):
    cited = citation(evidence.store, "backbones")
    on_cpu = [sentence for sentence in cited.sentences if sentence.startswith("On the CPU")]
    assert len(on_cpu) == len(MODELS) - 1, "one ran out of memory at the batch that the suite declares"
    assert all("images/s (95 % interval" in sentence and "batch 128" in sentence for sentence in on_cpu)
    assert cited.results_hash in bibliography(evidence)
    with pytest.raises(InputError, match="trains nothing"):
        to_model_index(evidence.store, "backbones")


def test_columns_of_the_answer_name_a_machine_only_where_two_have_measured_it(evidence):
    """Another machine that has measured other models, or in another setting, changes no title."""
    keys = {("resnet18", 224), ("resnet50", 224)}
    cpu, gpu = evidence.platforms
    assert [one.quantity.title for one in shown_on(cpu, evidence.headlines, keys)] == [
        "Images/s",
        "Memory (MiB)",
    ]
    assert shown_on(gpu, evidence.headlines, keys)
    assert not shown_on(
        gpu, [one.model_copy(update={"precision": "bf16"}) for one in evidence.headlines], keys
    )


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="no published store here")
def test_the_header_has_dates_and_versions_of_the_machines_that_it_names():
    facts = dict(header_of(gather(RunStore(PUBLISHED), "backbones-gpu")).facts)
    rows = pd.concat(pd.read_csv(PUBLISHED / "tables" / f"{name}.csv") for name in ("speed", "memory"))
    rows = rows[rows["machine"] == facts["Machines"]]
    days = sorted({day[:10] for day in rows["finished"]})
    assert facts["Dates"] == " to ".join(days)
    assert facts["Versions"].partition("torch ")[2] == " and ".join(sorted(rows["torch"].unique()))
