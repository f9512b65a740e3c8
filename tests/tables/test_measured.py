"""The tables of speed, memory and scaling from records written by hand."""

import pandas as pd
import pytest

from bench.store.run_store import RunStore
from bench.tables.measured import END_TO_END, LOADING, MEMORY, SCALING, SPEED, measured_tables
from bench.tables.tables import build_tables, write_tables

PROMISED = (
    "model,mode,device,machine,precision,memory_format,compiled,batch_size,input_size,images_per_s,"
    "latency_ms_median,latency_ms_q1,latency_ms_q3,samples,processes,unstable,busy,fraction_of_matmul_peak,"
)
SETTING = {
    "format": 1,
    "kind": "profile",
    "model": "vit",
    "title": "ViT",
    "family": "ViT",
    "mode": "infer",
    "device": "cpu",
    "machine": "Example CPU",
    "precision": "fp32",
    "memory_format": "contiguous",
    "compiled": False,
    "input_size": 224,
    "classes": 10,
    "threads": 2,
    "versions": {"torch": "2.11.0"},
    "finished": "2026-01-01T00:00:00+00:00",
}


def speed(run, batch_size, **changes):
    numbers = {
        "outcome": "measured",
        "reason": None,
        "images_per_s": 1000.0 * batch_size / 8,
        "latency_ms_median": 8.0,
        "latency_ms_q1": 7.5,
        "latency_ms_q3": 9.0,
        "samples": 30,
        "processes": 3,
        "unstable": False,
        "busy": True,
        "fraction_of_matmul_peak": 0.4,
        "matmul_peak": {"flops_per_s": 1e11, "shape": [8, 8, 8]},
    }
    return {**SETTING, "what": "speed", "id": run, "batch_size": batch_size, **numbers, **changes}


@pytest.fixture
def store(tmp_path):
    store = RunStore(tmp_path)
    store.prepare()
    return store


def put(store, *records):
    for record in records:
        store.finish_profile(record["id"], record)


def test_without_measurements_the_tables_have_columns_and_no_rows(store, tmp_path):
    tables = build_tables(store)
    promised = {"speed": SPEED, "memory": MEMORY, "scaling": SCALING}
    for name, columns in (promised | {"end_to_end": END_TO_END, "loading": LOADING}).items():
        assert list(tables[name].columns) == list(columns) and tables[name].empty
    write_tables(store)
    assert list(pd.read_csv(tmp_path / "tables/speed.csv").columns) == list(SPEED)
    assert (tmp_path / "tables/scaling.parquet").exists()


def test_speed_begins_with_the_promised_columns():
    assert ",".join(SPEED).startswith(PROMISED)


def test_rows_with_and_without_numbers(store):
    failed = {"outcome": "out_of_memory", "reason": "out of memory", "largest_batch": 16}
    lost = {**SETTING, "what": "speed", "id": "b", "batch_size": 32, **failed}
    put(store, lost, speed("a", 1))
    table = measured_tables(store.profiles())["speed"]
    first, second = table.to_dict("records")
    assert (first["batch_size"], first["images_per_s"], first["matmul_peak_flops_per_s"]) == (1, 125.0, 1e11)
    assert (first["torch"], first["profile"], first["busy"]) == ("2.11.0", "a", True)
    assert (second["outcome"], second["largest_batch"]) == ("out_of_memory", 16)
    assert pd.isna(second["images_per_s"]) and pd.isna(second["unstable"])


def test_energy_stands_in_the_row_of_its_own_setting(store):
    spent = {
        "outcome": "measured",
        "energy_j_per_image": 0.5,
        "energy_net_j_per_image": 0.4,
        "energy_windows": 5,
        "energy_scope": "the whole board",
    }
    energy = {**SETTING, "what": "energy", "id": "e", "batch_size": 8, **spent}
    newer = {**energy, "id": "f", "versions": {"torch": "2.12.0"}, "energy_j_per_image": 9.0}
    failed = {**energy, "id": "g", "batch_size": 1, "outcome": "failed", "reason": "no counter"}
    put(store, speed("a", 1), speed("b", 8), energy, newer, failed)
    first, second = measured_tables(store.profiles())["speed"].to_dict("records")
    assert pd.isna(first["energy_j_per_image"]) and pd.isna(first["energy_scope"])
    assert (second["energy_j_per_image"], second["energy_net_j_per_image"]) == (0.5, 0.4)
    assert (second["energy_windows"], second["energy_scope"]) == (5, "the whole board")


def test_bandwidth_and_the_earlier_rate_are_columns_of_speed(store):
    bandwidth = {"memory_bandwidth": {"bytes_per_s": 2e10, "kernel": "copy"}, "earlier_images_per_s": 99.0}
    put(store, speed("a", 1, **bandwidth), speed("b", 8))
    first, second = measured_tables(store.profiles())["speed"].to_dict("records")
    assert (first["memory_bandwidth_bytes_per_s"], first["earlier_images_per_s"]) == (2e10, 99.0)
    assert pd.isna(second["memory_bandwidth_bytes_per_s"])


def test_end_to_end_and_loading(store):
    phases = {"decode_ms": 2.0, "transform_ms": 1.0, "model_ms": 5.0}
    shares = {"decode_share": 0.25, "transform_share": 0.125, "model_share": 0.625}
    jpeg = {"jpeg_px": "500x375", "jpeg_kib": 110.0}
    one = speed("a", 4, what="end_to_end", **phases, **shares, **jpeg)
    loading = speed("b", 4, what="loading", path="jpeg", **jpeg)
    for name in ("model", "title", "family", "mode", "classes"):
        del loading[name]
    put(store, one, loading, {**loading, "id": "c", "path": "cache", "jpeg_px": None})
    tables = measured_tables(store.profiles())
    (row,) = tables["end_to_end"].to_dict("records")
    assert {name: row[name] for name in phases | shares | jpeg} == phases | shares | jpeg
    assert row["model"] == "vit" and "mode" not in row
    assert list(tables["loading"]["path"]) == ["cache", "jpeg"]
    assert list(tables["loading"]["images_per_s"]) == [500.0, 500.0] and tables["speed"].empty


def test_scaling_has_cost_with_what_was_measured_at_the_same_size(store):
    rows = [
        {"input_size": size, "tokens": size, "params": 5, "flops": size**2, "gmacs": 0.5,
         "attention_matrices_flops": size, "attention_share": 1 / size, "activations_m": 1.0, "counter": "c"}
        for size in (224, 96)
    ]  # fmt: skip
    cost = {name: SETTING[name] for name in ("model", "title", "family", "classes", "versions", "finished")}
    cost |= {"what": "scaling", "id": "s", "rows": rows, "attention_outgrows_rest_px": 560}
    more = {**rows[0], "input_size": 512, "flops": 512**2}
    older = {**cost, "id": "t", "finished": "2025", "rows": [{**rows[0], "flops": 1}, more]}
    older |= {"attention_outgrows_rest_px": None}
    memory = {
        **SETTING,
        "what": "memory",
        "id": "m",
        "batch_size": 1,
        "outcome": "measured",
        "peak_rss_mib": 9.0,
    }
    put(store, cost, older, memory, speed("a", 1), speed("b", 4, unstable=True, busy=True, steady=False))
    table = measured_tables(store.profiles())["scaling"]
    assert list(table.columns) == list(SCALING)
    assert list(table["input_size"]) == [96, 224, 224, 512]
    assert list(table["flops"]) == [96**2, 224**2, 224**2, 512**2]
    assert set(table["attention_outgrows_rest_px"]) == {560}
    assert set(table["torch"]) == {"2.11.0"}
    assert pd.isna(table["mode"][0]) and list(table["batch_size"][1:3]) == [1, 4]
    assert list(table["images_per_s"][1:3]) == [125.0, 500.0]
    assert [table[name][2] for name in ("unstable", "busy", "steady")] == [True, True, False]
    assert table["peak_rss_mib"][1] == 9.0 and pd.isna(table["peak_rss_mib"][2])


def test_a_record_takes_the_place_of_an_earlier_one(store, tmp_path):
    store.finish_profile("a", speed("a", 1), [[1.0, 2.0], [3.0]])
    samples = pd.read_parquet(tmp_path / "profiles/a/samples.parquet")
    assert samples.to_dict("list") == {"process": [0, 0, 1], "step": [0, 1, 0], "ms": [1.0, 2.0, 3.0]}
    store.finish_profile("a", speed("a", 1, outcome="failed"))
    assert not (tmp_path / "profiles/a/samples.parquet").exists()
    assert list(measured_tables(store.profiles())["speed"]["outcome"]) == ["failed"]
