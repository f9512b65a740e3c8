"""Exported networks: what they give, that a wrong one is not timed, and what their records depend on."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import openvino
import pytest
import torch

from bench.errors import InputError
from bench.files import digest
from bench.machine import device_name, machine_name, versions
from bench.networks import find_card
from bench.profiling import speed
from bench.profiling.config import NetworkConfig, deployed_grid
from bench.profiling.exported import IMAGES, export, open_exported
from bench.profiling.job import Budget, Request, profile_job
from bench.profiling.network import BadOutput, make_network
from bench.profiling.plan import requested_jobs
from bench.profiling.session import Session
from bench.profiling.speed import measure_speed
from bench.runtimes import TORCH, find_runtime, runtime_names

CONFIG = NetworkConfig(
    "vit_digits", "infer", 3, 16, 10, "fp32", "contiguous", False, "cpu", 1, runtime="onnxruntime"
)
EVERY = [
    replace(CONFIG, runtime=runtime, precision=precision)
    for runtime in ("onnxruntime", "openvino")
    for precision in ("fp32", "int8")
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Of every runtime and precision, the folder of an export."""
    made = {}
    for config in EVERY:
        made[config] = tmp_path_factory.mktemp(f"{config.runtime}-{config.precision}")
        export(config, str(made[config]))
    return made


def plainly(config, folder, images):
    """The logits of an exported file, by the library alone."""
    if config.runtime == "onnxruntime":
        return onnxruntime.InferenceSession(folder / "model.onnx").run(None, {"images": images})[0]
    hint = {"INFERENCE_PRECISION_HINT": "f32"}
    return openvino.compile_model(folder / "model.xml", "CPU", hint)({"images": images})[0]


@pytest.mark.parametrize("config", EVERY, ids=lambda config: f"{config.runtime}-{config.precision}")
def test_a_step_gives_what_the_library_gives_by_itself(config, folders):
    folder = folders[config]
    images = np.load(folder / "images.npy")
    with torch.inference_mode():
        truth = make_network(config)(torch.from_numpy(images)).numpy()
    plain = plainly(config, folder, images)
    # A batch that is larger than the stored images repeats them.
    step, facts = open_exported(replace(config, batch_size=IMAGES + 2), str(folder))
    np.testing.assert_allclose(step(), plain[np.arange(IMAGES + 2) % IMAGES], rtol=1e-3, atol=1e-5)
    step, facts = open_exported(config, str(folder))
    np.testing.assert_allclose(step(), plain[:3], rtol=1e-3, atol=1e-5)
    # All images are checked, in batches of 3 of which the last begins anew.
    checked = np.arange(IMAGES + 2) % IMAGES
    error = np.linalg.norm(plain[checked] - truth[checked]) / np.linalg.norm(truth[checked])
    assert facts["error"] == pytest.approx(error, rel=0.05, abs=1e-6)
    assert facts["agreement"] == (plain.argmax(1) == truth.argmax(1))[checked].mean()
    int8 = config.precision == "int8"
    assert (facts["error"] > 1e-3) == int8 and facts["error"] < (0.2 if int8 else 1e-5)
    assert facts["calibration"] == ("16 random images, those that are timed" if int8 else None)


def test_int8_is_in_the_files(folders):
    onnx_int8, openvino_int8 = (folders[EVERY[k]] for k in (1, 3))
    graph = onnx.load(onnx_int8 / "model.onnx").graph
    weights = {one.name: one for one in graph.initializer}
    scales = [
        weights[node.input[1]]
        for node in graph.node
        if node.op_type == "DequantizeLinear" and weights.get(node.input[0]) is not None
        and weights[node.input[0]].data_type == onnx.TensorProto.INT8
    ]  # fmt: skip
    # One scale a channel, of every product with weights.
    assert len(scales) > 4 and max(one.dims[0] for one in scales if one.dims) >= 10
    kinds = [one.get_type_name() for one in openvino.Core().read_model(openvino_int8 / "model.xml").get_ops()]
    assert "FakeQuantize" in kinds


def test_threads_and_batch_reach_the_sessions(folders, monkeypatch):
    made = []
    session = onnxruntime.InferenceSession
    monkeypatch.setattr(
        onnxruntime,
        "InferenceSession",
        lambda *given, **more: made.append(given[1]) or session(*given, **more),
    )
    run = find_runtime("onnxruntime").open(folders[CONFIG] / "model.onnx", threads=3, batch_size=2)
    assert (made[0].intra_op_num_threads, made[0].inter_op_num_threads) == (3, 1)
    with pytest.raises(Exception, match="INVALID_ARGUMENT"):
        run(np.zeros((4, 3, 16, 16), np.float32))


@pytest.mark.parametrize("config", EVERY[::2], ids=lambda config: config.runtime)
@pytest.mark.parametrize("wrong", [np.nan, 2.0], ids=["nan", "other"])
def test_a_wrong_output_is_refused_before_anything_is_timed(config, wrong, folders, tmp_path, monkeypatch):
    for path in folders[config].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    timed = []
    monkeypatch.setattr(speed, "warm_up", lambda *given: timed.append(given))
    runtime = find_runtime(config.runtime)
    opened = runtime.open
    monkeypatch.setattr(
        type(runtime), "open", lambda self, path, **more: lambda images: wrong * opened(path, **more)(images)
    )
    with pytest.raises(
        BadOutput, match="not all finite" if np.isnan(wrong) else "1 away from PyTorch's in fp32"
    ):
        measure_speed(config, repeats=1, seconds=0, folder=str(tmp_path))
    assert timed == []


def test_an_int8_network_that_gives_something_else_is_refused(folders, tmp_path):
    config = EVERY[1]
    for path in folders[config].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    np.save(tmp_path / "logits.npy", np.roll(np.load(tmp_path / "logits.npy"), 3, axis=1))
    with pytest.raises(BadOutput, match="in int8 are .* away"):
        open_exported(config, str(tmp_path))


def test_one_fresh_process_exports_and_others_measure(tmp_path):
    session = Session()
    try:
        first = session.ask("speed", CONFIG, repeats=2, seconds=0)
        assert first["outcome"] == "measured" and len(first["seconds"]) >= 2 and first["error"] < 1e-5
        folders = [one["folder"] for one in session._exports.values()]
        larger = session.measure("memory", replace(CONFIG, batch_size=64))
        assert larger["outcome"] == "measured" and 0 < larger["resting_mib"] <= larger["peak_rss_mib"] + 1
        assert [one["folder"] for one in session._exports.values()] == folders
    finally:
        session.close()
    assert len(folders) == 1 and not Path(folders[0]).exists()


def test_the_id_has_runtime_precision_and_the_versions_of_the_library():
    job, card = profile_job("speed", CONFIG), find_card("vit_digits")
    setting = {
        "model": "vit_digits", "mode": "infer", "batch_size": 3, "input_size": 16, "classes": 10,
        "precision": "fp32", "memory_format": "contiguous", "compiled": False, "device": "cpu", "threads": 1,
        "allocator": "default", "cudnn_benchmark": False, "runtime": "onnxruntime",
    }  # fmt: skip
    assert job.id == digest(
        {
            "profile_format": 1,
            "what": "speed",
            "model": [card.name, card.architecture, card.options, card.stem],
            "setting": setting,
            "machine": machine_name(),
            "device": device_name("cpu"),
            "versions": versions()
            | {"onnxruntime": onnxruntime.__version__, "onnx": onnx.__version__}
            | {"onnxscript": find_runtime("onnxruntime").versions()["onnxscript"]},
        }
    )
    ids = {profile_job("speed", one).id for one in (*EVERY, replace(CONFIG, runtime=TORCH))}
    assert len(ids) == 5 and "runtime" not in replace(CONFIG, runtime=TORCH).to_dict()


def test_a_request_measures_them_in_speed_and_memory_alone():
    deployed = deployed_grid(["vit_digits"], [1, 8], [16], [("openvino", "int8")], classes=10, threads=1)
    torch_config = replace(CONFIG, runtime=TORCH)
    kinds = frozenset({"speed", "memory", "energy", "scaling", "end_to_end"})
    jobs = requested_jobs(Request(kinds, [torch_config], Budget(3), (16, 32), deployed))
    own = [(job.what, job.config.batch_size) for job in jobs if getattr(job.config, "deployed", False)]
    assert sorted(own) == [("memory", 1), ("memory", 8), ("speed", 1), ("speed", 8)]
    for job in jobs:
        if getattr(job.config, "deployed", False):
            # Models are compared by them: an unstable row gets more processes.
            assert job.budget.max_processes == 12 and not job.config.as_trained


@pytest.mark.parametrize(
    ("name", "int8", "missing"), [("onnxruntime", False, "onnxscript"), ("openvino", True, "nncf")]
)
def test_a_missing_extra_is_said_with_the_command_that_installs_it(name, int8, missing, monkeypatch, vcbench):
    import bench.runtimes

    true = bench.runtimes.find_spec
    monkeypatch.setattr(bench.runtimes, "find_spec", lambda one: None if one == missing else true(one))
    extra = {"onnxruntime": "onnx"}.get(name, name)
    with pytest.raises(InputError, match=rf"^here: needs {missing}; pip install 'vcbench\[{extra}\]'$"):
        find_runtime(name).require(int8, where="here")
    arguments = ("profile", "vit_digits", "--runtime", name, *(["--int8"] if int8 else []))
    status, _, err = vcbench(*arguments, "--results", "new")
    assert status == 2 and err.count("\n") == 1 and f"pip install 'vcbench[{extra}]'" in err
    assert runtime_names() == ("onnxruntime", "openvino")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--runtime", "onnx"), '"onnx" should be of torch, onnxruntime, openvino; did you mean'),
        (("--int8",), "--int8: needs another --runtime than torch"),
        (("--runtime", "openvino", "--mode", "train"), "exported networks are measured in speed and memory"),
        (("--runtime", "openvino", "--what", "cost"), "exported networks are measured in speed and memory"),
    ],
)
def test_a_wrong_request_is_one_line(arguments, words, vcbench):
    status, _, err = vcbench("profile", "vit_digits", *arguments, "--results", "new")
    assert status == 2 and err.count("\n") == 1 and words in err
