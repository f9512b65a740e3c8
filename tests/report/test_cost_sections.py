"""Sections on cost, speed, memory and scaling: numbers as in the records, conditions beside them."""

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torchvision
from report.make_profiles import (
    BATCHES,
    CARDS,
    CPU,
    GPU,
    IDLE_WATTS,
    WATTS,
    add_profiles,
    add_sizes,
    as_trained,
    headlines,
    images_per_s,
    make_profiled_suite,
    peak_mib,
)
from small_store import listing

from bench.report.blocks import Bullets, Figure, Table, walk
from bench.report.evidence import gather
from bench.report.measured import compared as as_trained_on
from bench.report.measured import headlines_of, quantities, trusted
from bench.report.published import published_cost, published_speed
from bench.report.render import header_of, render
from bench.report.sections.beside import beside
from bench.report.sections.cost import cost
from bench.report.sections.cost import counted as counted_with
from bench.report.sections.measured_cost import measured_cost, untrained
from bench.report.sections.measurements import end_to_end, memory, speed
from bench.report.sections.scaling import scaling
from bench.report.style import house_style
from bench.report.text import NOT_MEASURED
from bench.report.writers.csv import to_csv
from bench.report.writers.macros import latex_macros
from bench.store.run_store import RunStore

ROOT = Path(__file__).parent.parent.parent
MODELS = ["vit_base_patch16_224", "resnet50", "tf_efficientnet_lite0"]


def blocks(section, kind):
    return {block.name: block for block in walk(section.blocks) if isinstance(block, kind)}


def column(table, title):
    place = [column.title for column in table.columns].index(title)
    return [row[place].text for row in table.rows]


def notes(table):
    return [" ".join(note for field in row for note in field.notes) for row in table.rows]


@pytest.fixture(scope="module")
def evidence(tmp_path_factory):
    root = tmp_path_factory.mktemp("profiled")
    make_profiled_suite(root, MODELS, modes=("infer", "train"), fits={"vit_base_patch16_224": 8}, busy=True)
    add_profiles(root, MODELS[:2], place=GPU, speedup=100)
    return gather(RunStore(root), "backbones")


@pytest.fixture(scope="module")
def drawn(evidence):
    with house_style():
        made = [make(evidence) for make in (cost, scaling, speed, memory, end_to_end, beside)]
    return {section.anchor.replace("-", "_"): section for section in made}


def test_published_figures_are_those_of_their_source():
    names = {"vit_base_patch16_224": "ViT_B_16", "vit_large_patch32_224": "ViT_L_32"} | {
        "resnet18": "ResNet18",
        "resnet50": "ResNet50",
        "convnext_tiny": "ConvNeXt_Tiny",
        "convnext_base": "ConvNeXt_Base",
    }
    table = published_cost().set_index("model")
    for model, name in names.items():
        meta = getattr(torchvision.models, f"{name}_Weights").IMAGENET1K_V1.meta
        assert table.at[model, "params_m"] * 1e6 == pytest.approx(meta["num_params"], abs=0.5)
        assert table.at[model, "gmacs"] == meta["_ops"]
    assert set(published_speed()["device"]) == {"CPU", "GPU"}
    assert (published_speed()["source"] != "").all() and (published_cost()["source"] != "").all()


def test_the_published_cost_stands_beside_ours(drawn):
    table = blocks(drawn["cost"], Table)["cost"]
    by_model = dict(zip(column(table, "Model"), column(table, "Published GMACs"), strict=True))
    assert by_model == {"ViT-B/16": "17.564", "ResNet-50": "4.089", "EfficientNet-Lite0": "0.4"}
    assert dict(zip(column(table, "Model"), column(table, "Difference in GMACs (%)"), strict=True)) == {
        "ViT-B/16": "0.00",
        "ResNet-50": "0.00",
        "EfficientNet-Lite0": "+1.75",
    }


def test_a_head_that_nobody_published_has_no_figure(tmp_path):
    make_profiled_suite(tmp_path, MODELS[:1], classes=102)
    table = blocks(cost(gather(RunStore(tmp_path), "backbones")), Table)["cost"]
    assert column(table, "Published parameters (M)") == ["no published figure"]


def test_parts_sum_to_the_whole(drawn):
    table = blocks(drawn["cost"], Table)["parts"]
    for row in table.rows:
        assert sum(float(field.text) for field in row[1:]) == pytest.approx(100, abs=0.3)
    assert sorted(column(table, "Model")) == sorted(CARDS[model][0] for model in MODELS)


def test_the_speed_table_has_every_model_as_it_is_trained(drawn):
    table = blocks(drawn["speed"], Table)["speed-cpu"]
    head = list(zip(*(column(table, name) for name in ("Model", "Mode", "Row", "Batch")), strict=True))
    assert head.count(("ViT-B/16", "inference", "as trained", "1")) == 1
    assert head.count(("ResNet-50", "training step", "as trained", "8")) == 1
    place = head.index(("ResNet-50", "inference", "as trained", "8"))
    assert float(column(table, "Images/s")[place]) == pytest.approx(images_per_s(4.089, 8), rel=0.01)
    assert column(table, "Setting")[place] == "fp32, channels last, eager, 224 px, 1\u202f000 classes"
    assert all("machine busy" in note or "out of memory" in note for note in notes(table))
    assert "fp32, as trained" in table.caption and CPU["machine"] in table.caption
    assert column(table, "Row").count("as trained") == len(MODELS) * 2 * len(BATCHES)


def test_other_settings_stand_apart_and_move_no_headline(tmp_path):
    """Old records, which do not say how they were measured, another precision, layout, head and batch."""
    make_profiled_suite(tmp_path, MODELS)
    before = compared(tmp_path, "speed-cpu"), compared(tmp_path, "memory-cpu")
    changes = {
        "old": {"as_trained": None, "allocator": None, "memory_format": "contiguous"},
        "bf16": {"precision": "bf16", "images_per_s": 9999.0},
        "nchw": {"as_trained": False, "memory_format": "contiguous"},
        "head": {"classes": 10},
        "batch": {"batch_size": 512, "images_per_s": 9999.0},
    }
    for kind in ("speed", "memory"):
        record = json.loads((tmp_path / f"profiles/resnet50-infer-8-cpu-{kind}/record.json").read_text())
        for name, change in changes.items():
            folder = tmp_path / f"profiles/{kind}-{name}"
            folder.mkdir()
            (folder / "record.json").write_text(json.dumps(record | change | {"id": folder.name}))
    assert (compared(tmp_path, "speed-cpu"), compared(tmp_path, "memory-cpu")) == before
    others = [row for row in rows_of(tmp_path, "speed-cpu") if row not in before[0]]
    assert len(others) == len(changes) == len(rows_of(tmp_path, "memory-cpu")) - len(before[1])
    assert sum("freed memory returned" in row[3] for row in others) == 1


def rows_of(root, name):
    found = gather(RunStore(root), "backbones")
    with house_style():
        tables = blocks(speed(found), Table) | blocks(memory(found), Table)
    return [[field.text for field in row] for row in tables[name].rows]


def compared(root, name):
    return [row for row in rows_of(root, name) if row[2] == "as trained"]


def test_a_row_that_is_unstable_has_no_number_anywhere(tmp_path):
    make_profiled_suite(tmp_path, MODELS, more=True)
    for kind in ("infer-8-cpu-speed", "cpu-end-to-end"):
        path = tmp_path / f"profiles/resnet50-{kind}/record.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"unstable": True, "images_per_s": 77.7}))
    found = gather(RunStore(tmp_path), "backbones")
    with house_style():
        timed, staged = speed(found), end_to_end(found)
    (row,) = [row for row in blocks(timed, Table)["speed-cpu"].rows if row[4].notes]
    assert row[0].text == "ResNet-50" and row[6].text == "withheld"
    assert row[4].notes == ("withheld: unstable",)
    figure = blocks(timed, Figure)["throughput-infer-cpu"]
    assert figure.caption.endswith("Withheld, as unstable: ResNet-50.") and 77.7 not in set(
        figure.data["images_per_s"]
    )
    table = blocks(staged, Table)["end-to-end-cpu"]
    assert column(table, "JPEG to label (images/s)")[column(table, "Model").index("ResNet-50")] == "withheld"
    text = latex_macros(found, header_of(found))
    assert "77.7" not in text and text.count("% no number: ") == 2 and "withheld: unstable" in text
    platform, declared = found.platforms[0], headlines_of(listing(headlines=headlines([8])))
    for name, without in (("speed", {"resnet50"}), ("memory", set())):
        one = as_trained_on(platform, declared, quantities(platform)[name])
        assert {m for m in MODELS if one.value(m, 224) is not None} == set(MODELS) - without
        assert {m for m in MODELS if one.text(m, 224) == "withheld"} == without


def test_no_part_is_slower_than_the_whole(tmp_path):
    """The model alone is the model's own phase; a speed row of the same setting that is slower is a note."""
    make_profiled_suite(tmp_path, MODELS, more=True)
    path = tmp_path / "profiles/resnet50-infer-1-cpu-speed/record.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"images_per_s": 1.0}))
    with house_style():
        table = blocks(end_to_end(gather(RunStore(tmp_path), "backbones")), Table)["end-to-end-cpu"]
    whole, alone = (column(table, f"{name} (images/s)") for name in ("JPEG to label", "Model alone"))
    assert all(float(a) >= float(b) for a, b in zip(alone, whole, strict=True))
    said = dict(zip(column(table, "Model"), notes(table), strict=True))
    assert [model for model, note in said.items() if "one of them was disturbed" in note] == ["ResNet-50"]


def test_a_setting_that_failed_says_why(drawn):
    table = blocks(drawn["speed"], Table)["speed-cpu"]
    said = [row for row, note in zip(table.rows, notes(table), strict=True) if "out of memory" in note]
    assert len(said) == 8  # batches 16 to 128, in inference and training
    assert {row[6].text for row in said} == {NOT_MEASURED}


def test_where_every_setting_failed_the_reason_stands_and_no_number(tmp_path):
    make_profiled_suite(tmp_path, ["resnet50"])
    for path in tmp_path.glob("profiles/*-cpu-*/record.json"):
        record = json.loads(path.read_text())
        kept = {
            name: value
            for name, value in record.items()
            if not name.startswith(("images", "latency", "peak"))
        }
        path.write_text(json.dumps(kept | {"outcome": "failed", "reason": "the output is not finite"}))
    evidence = gather(RunStore(tmp_path), "backbones")
    with house_style():
        timed, held = speed(evidence), memory(evidence)
    assert not blocks(timed, Figure) and not blocks(held, Figure)
    failed, weighed = blocks(timed, Table)["speed-cpu"], blocks(held, Table)["memory-cpu"]
    assert set(notes(failed)) == {"the output is not finite"} and set(column(failed, "Row")) == {"other"}
    assert "none of this suite's settings" in failed.caption
    assert set(column(weighed, "Peak resident (MiB)")) == {NOT_MEASURED}


def test_the_best_setting_stands_among_the_others(tmp_path):
    make_profiled_suite(tmp_path, ["resnet50", "resnet18"], best=False)
    for path in tmp_path.glob("profiles/resnet50-infer-64-*-speed/record.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"best": True, "precision": "bf16"}))
    section = speed(gather(RunStore(tmp_path), "backbones"))
    table = blocks(section, Table)["speed-cpu"]
    rows = list(zip(*(column(table, name) for name in ("Model", "Row", "Setting", "Batch")), strict=True))
    assert [row for row in rows if row[1] != "as trained"] == [
        ("ResNet-50", "best", "bf16, channels last, eager, 224 px, 1\u202f000 classes", "64")
    ]


def test_no_figure_mixes_machines(drawn):
    figures = [f for name in ("speed", "memory") for f in blocks(drawn[name], Figure).values()]
    assert len(figures) == 6
    for figure in figures:
        assert len(figure.data[["machine", "device"]].drop_duplicates()) == 1
        assert figure.data["machine"].iloc[0] in figure.caption
        assert figure.name.endswith("example-gpu") == (figure.data["device"].iloc[0] == GPU["device"])


def test_memory_tells_the_largest_batch_that_fits(drawn):
    table = blocks(drawn["memory"], Table)["memory-cpu"]
    largest = set(zip(column(table, "Model"), column(table, "Largest batch that fits"), strict=True))
    assert ("ViT-B/16", "8") in largest and ("ResNet-50", NOT_MEASURED) in largest
    place = column(table, "Model").index("ViT-B/16")
    assert column(table, "Peak resident (MiB)")[place] == f"{peak_mib(17.564, 1):.0f}"
    gpu = blocks(drawn["memory"], Table)["memory-example-gpu"]
    assert "Peak reserved (MiB)" in [column.title for column in gpu.columns]


def test_ours_beside_published_speed_of_the_same_kind_of_device(drawn):
    table = blocks(drawn["beside"], Table)["speed-published"]
    pairs = list(zip(column(table, "What differs"), column(table, "Source"), strict=True))
    for ours, theirs in pairs:
        assert theirs.startswith("Intel") == ours.startswith("ours: CPU")
    assert any("compiled" in theirs for _, theirs in pairs)
    shown = zip(*(column(table, name) for name in ("Ours", "Theirs", "Ours over theirs")), strict=True)
    for ours, theirs, ratio in shown:
        a, b = (float(text.replace("\u202f", "")) for text in (ours, theirs))
        assert float(ratio) == pytest.approx(a / b, rel=0.02)


def test_cost_as_trained_is_one_row_a_model(tmp_path):
    make_profiled_suite(tmp_path, MODELS, modes=("infer", "train"), fits={"vit_base_patch16_224": 8})
    add_profiles(tmp_path, MODELS[:2], place=GPU, speedup=100)
    tables = blocks(measured_cost(gather(RunStore(tmp_path), "backbones")), Table)
    assert list(tables) == ["as-trained-cpu", "as-trained-example-gpu"]
    table = tables["as-trained-cpu"]
    gmacs = dict(zip(column(table, "Model"), column(table, "GMACs"), strict=True))
    assert gmacs == {"ViT-B/16": "17.56", "ResNet-50": "4.09", "EfficientNet-Lite0": "0.41"}
    at = column(table, "Model").index("ResNet-50")
    largest = max(BATCHES)
    assert float(column(table, "Images/s")[at]) == pytest.approx(images_per_s(4.089, largest), rel=0.01)
    assert column(table, "Memory (MiB)")[at].replace("\u202f", "") == f"{peak_mib(4.089, largest):.0f}"
    vit = column(table, "Model").index("ViT-B/16")
    assert column(table, "Images/s")[vit] == NOT_MEASURED  # ran out of memory at this batch
    assert "out of memory" in notes(table)[vit]


def test_cost_as_trained_withholds_what_is_unstable(tmp_path):
    make_profiled_suite(tmp_path, MODELS)
    path = tmp_path / f"profiles/resnet50-infer-{max(BATCHES)}-cpu-speed/record.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"unstable": True}))
    (table,) = blocks(measured_cost(gather(RunStore(tmp_path), "backbones")), Table).values()
    at = column(table, "Model").index("ResNet-50")
    assert column(table, "Images/s")[at] == "withheld"
    assert column(table, "Latency at batch 1 (ms)")[at] != "withheld"


def test_models_are_not_compared_by_the_rates_of_a_busy_machine(evidence):
    """They stand in the table of all rows, with their mark, and nowhere else; memory is no rate."""
    with house_style():
        table = blocks(measured_cost(evidence), Table)["as-trained-cpu"]
        every = blocks(speed(evidence), Table)["speed-cpu"]
    at = column(table, "Model").index("ResNet-50")
    assert column(table, "Images/s")[at] == column(table, "Latency at batch 1 (ms)")[at] == "withheld"
    assert column(table, "Memory (MiB)")[at].replace("\u202f", "").isdigit()
    assert "machine busy" in notes(table)[at]
    row = column(every, "Model").index("ResNet-50")
    assert column(every, "Images/s")[row] != "withheld" and "machine busy" in notes(every)[row]
    assert trusted(evidence.measured["speed"])["device"].unique().tolist() == [GPU["device"]]
    with house_style():
        told = [block for block in untrained(evidence).blocks if isinstance(block, Bullets)]
    assert not any("CPU" in one and "images/s" in one for block in told for one in block.items)


@pytest.mark.parametrize(("rate", "words"), [(1.05, "about as many images/s"), (1.07, "1.07 times the")])
def test_rates_whose_intervals_overlap_are_about_the_same(tmp_path, rate, words):
    """Intervals reach 3 % to either side: rates 1.05 times apart have values in common, 1.07 do not."""
    both = ["deit_small_patch16_224", "resnet50"]
    make_profiled_suite(tmp_path, both)
    path = tmp_path / f"profiles/{{}}-infer-{max(BATCHES)}-cpu-speed/record.json"
    other = json.loads(Path(str(path).format("resnet50")).read_text())
    own = Path(str(path).format("deit_small_patch16_224"))
    scaled = {name: rate * other[name] for name in ("images_per_s", "images_per_s_low", "images_per_s_high")}
    own.write_text(json.dumps(json.loads(own.read_text()) | scaled))
    section = untrained(gather(RunStore(tmp_path), "backbones"))
    (told,) = [block for block in section.blocks if isinstance(block, Bullets)]
    assert words in told.items[0]


def test_words_of_a_figure_say_a_single_point_once(tmp_path):
    make_profiled_suite(tmp_path, ["resnet50", "vit_base_patch16_224"], fits={"vit_base_patch16_224": 1})
    with house_style():
        figure = blocks(speed(gather(RunStore(tmp_path), "backbones")), Figure)["throughput-infer-cpu"]
    assert re.search(r"ResNet-50: [\d.]+ at 1 image, [\d.]+ at 128", figure.alt)
    assert re.search(r"ViT-B/16: [\d.]+ at 1 image(;|\.)", figure.alt)


def test_counters_that_check_each_other_are_named_once():
    one, other = "A of torch 1; checked against B 2, with C", "B 2, with C; checked against A of torch 1"
    assert (
        counted_with(pd.Series([one, one, None])) == "Counted with A of torch 1, checked against B 2, with C."
    )
    both = "Counted with one of A of torch 1 and B 2, with C, checked against the other."
    assert counted_with(pd.Series([one, other])) == both
    assert counted_with(pd.Series([], dtype=str)) == ""


def test_the_size_at_which_attention_outgrows_the_rest(drawn):
    figure = blocks(drawn["scaling"], Figure)["scaling-attention"]
    assert "half of them at 752 px" in figure.caption
    share = figure.data
    assert set(share["model"]) == {"vit_base_patch16_224"}
    assert list(share["attention_share"]) == list(share["attention_matrices_flops"] / share["flops"])


def test_speed_and_memory_at_several_sizes(tmp_path):
    make_profiled_suite(tmp_path, ["resnet50", "deit_small_patch16_224"], busy=True)
    add_sizes(tmp_path, ["resnet50", "deit_small_patch16_224"])
    with house_style():
        figures = blocks(scaling(gather(RunStore(tmp_path), "backbones")), Figure)
    data = figures["scaling-speed-cpu"].data
    assert set(data["batch_size"]) == {4} and list(data["input_size"].unique()) == [96, 160, 224, 320]
    at = data.set_index(["model", "input_size"])["images_per_s"]
    assert at["resnet50", 320] == pytest.approx(images_per_s(4.089, 4) * (224 / 320) ** 2)
    assert "batch 4" in figures["scaling-memory-cpu"].caption
    assert figures["scaling-speed-cpu"].caption.endswith(" Some rows are marked: machine busy.")


def test_the_same_store_gives_the_same_bytes(tmp_path):
    store = make_profiled_suite(tmp_path / "store", MODELS[:1])
    render(RunStore(store), "backbones", tmp_path / "here")
    code = "import sys; from bench.store.run_store import RunStore; from bench.report.render import render; "
    code += "render(RunStore(sys.argv[1]), 'backbones', sys.argv[2])"
    command = [sys.executable, "-c", code, str(store), str(tmp_path / "there")]
    subprocess.run(command, env=os.environ | {"PYTHONHASHSEED": "7"}, cwd=ROOT, check=True)
    here = tmp_path / "here"
    files = sorted(path.relative_to(here) for path in here.rglob("*") if path.is_file())
    assert len(files) > 20
    for name in files:
        assert (here / name).read_bytes() == (tmp_path / "there" / name).read_bytes(), name
    text = (here / "report.md").read_text() + (here / "appendix.md").read_text()
    assert "trains nothing" in text and "nan" not in text.lower() and "<NA>" not in text


def test_energy_and_end_to_end_say_not_measured(drawn):
    text = " ".join(block.text for block in drawn["speed"].blocks if hasattr(block, "text"))
    assert "Matrix products alone reach 100 GFLOP/s in fp32." in text and "andwidth" not in text
    assert "Energy (J/image)" not in [c.title for c in blocks(drawn["speed"], Table)["speed-cpu"].columns]
    assert not drawn["end_to_end"].blocks


def test_end_to_end_shares_and_loading(evidence, tmp_path):
    other = gather(evidence.store, "backbones")
    at = {"device": "cpu", "machine": CPU["machine"], "batch_size": 1, "input_size": 224} | {
        "outcome": "measured",
        "busy": False,
        "unstable": False,
    }
    setting = {"precision": "fp32", "jpeg_px": "500x375"} | as_trained("resnet50", CPU)
    latency = {"images_per_s": 20.0, "latency_ms_median": 50.0, "latency_ms_q1": 49.0, "latency_ms_q3": 52.0}
    stages = {"decode": 10.0, "transform": 5.0, "model": 35.0}
    stages = {f"{name}_ms": ms for name, ms in stages.items()} | {
        f"{name}_share": ms / 50 for name, ms in stages.items()
    }
    setting |= {
        "model_images_per_s": 1000 / 35,
        "classes": 1000,
        "threads": 2,
        "torch": "2.11.0",
        "finished": "2026-01-01T00:00:00+00:00",
    }
    row = {"model": "resnet50", "profile": "e"} | at | setting | latency | stages
    other.__dict__["measured"] = evidence.measured | {
        "end_to_end": pd.DataFrame([row, row | {"profile": "f", "precision": "bf16", "images_per_s": 40.0}]),
        "loading": pd.DataFrame(
            [at | {"path": "jpeg", "images_per_s": 300.0, "profile": "l", "threads": 2, "torch": "2.11.0"}]
        ),
    }
    with house_style():
        section = end_to_end(other)
    table = blocks(section, Table)["end-to-end-cpu"]
    shares = [row[-3:] for row in table.rows]
    assert [[field.spread for field in row] for row in shares][0] == ["(20.0 %)", "(10.0 %)", "(70.0 %)"]
    head, first, *_ = csv.reader(to_csv(table).splitlines())
    assert dict(zip(head, first, strict=True))["Model (ms), share (%)"] == "70.0"
    assert float(column(table, "Model alone (images/s)")[0]) == pytest.approx(1000 / 35, 0.01)
    assert column(table, "Row") == ["as trained", "other"]
    assert column(blocks(section, Table)["loading-cpu"], "Images/s") == ["300"]


def test_energy_bandwidth_and_end_to_end_from_the_store(tmp_path):
    make_profiled_suite(tmp_path, ["resnet50", "resnet18"], place=GPU, more=True)
    evidence = gather(RunStore(tmp_path), "backbones")
    with house_style():
        timed, staged = speed(evidence), end_to_end(evidence)
    text = " ".join(block.text for block in timed.blocks if hasattr(block, "text"))
    assert "Memory bandwidth: 20 GB/s." in text and "Energy is that of the whole board, " in text
    table = blocks(timed, Table)["speed-example-gpu"]
    rows = dict(
        zip(zip(column(table, "Model"), column(table, "Batch"), strict=True), table.rows, strict=True)
    )
    energy = rows["ResNet-18", "1"][-1]
    rate = images_per_s(1.814, 1)
    assert energy.text == f"{WATTS / rate:.3g}"
    assert energy.notes == (f"net {(WATTS - IDLE_WATTS) / rate:.3g}", "over 5 windows")
    assert rows["ResNet-18", "128"][-1].text == NOT_MEASURED
    for row in blocks(staged, Table)["end-to-end-example-gpu"].rows:
        shares = [float(field.spread.strip("() %")) for field in row[-3:]]
        assert sum(shares) == pytest.approx(100, abs=0.2)
    assert column(blocks(staged, Table)["loading-example-gpu"], "Images/s") == ["9\u202f000", "150"]


def test_a_vit_and_a_cnn_of_about_equal_operations_are_told_side_by_side(tmp_path):
    """4.6 and 4.1 GMACs are; 17.6 and 0.4 beside them are not; each machine has a sentence of its own."""
    models = ["vit_base_patch16_224", "deit_small_patch16_224", "resnet50", "tf_efficientnet_lite0"]
    make_profiled_suite(tmp_path, models, modes=("infer", "train"))
    add_profiles(tmp_path, models[1:2], place=GPU, speedup=100)
    add_profiles(tmp_path, models[2:3], place=GPU, speedup=50)
    found = gather(RunStore(tmp_path), "backbones")
    (told,) = [block for block in walk(untrained(found).blocks) if isinstance(block, Bullets)]
    assert [line.partition(": ")[2].partition(" has ")[0] for line in told.items] == [
        "beside ResNet-50 (4.09 GMACs), DeiT-S (4.60 GMACs)"
    ] * 2
    for line, platform in zip(told.items, found.platforms, strict=True):
        speed = platform.speed[platform.speed["mode"] == "infer"]
        rates = speed[speed["as_trained"] & (speed["batch_size"] == max(BATCHES))].set_index("model")
        ratio = rates.at["deit_small_patch16_224", "images_per_s"] / rates.at["resnet50", "images_per_s"]
        assert line.startswith(f"{platform.name}: ") and f" has {ratio:.2f} times the images/s" in line
    assert "in training" in told.items[0]


def test_inference_alone_stands_in_the_table_of_the_answer(tmp_path, evidence):
    make_profiled_suite(tmp_path, MODELS[:1])
    assert measured_cost(gather(RunStore(tmp_path), "backbones")).says_little
    assert not measured_cost(evidence).says_little
