"""Trained networks in int8: held against the libraries' own tools, called here, and a plain loop."""

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from safetensors.torch import load_file
from scipy.special import softmax

import bench.runtimes
from bench.data import draw_subset, open_dataset
from bench.errors import InputError
from bench.networks import find_card, make_model, resolve_weights
from bench.planning.conditions import conditions_of
from bench.profiling.plan import require_runtimes
from bench.runtimes import find_runtime
from bench.spec.suite import load_suite
from bench.tables.tables import build_tables
from bench.training.quantised import CALIBRATION_IMAGES

EXTRAS = {"int8_onnxruntime": "onnx", "int8_openvino": "openvino"}


def ask(suite, *conditions):
    """Add conditions to the suite's file."""
    extra = f"conditions = {list(conditions)}\n"
    suite.write_text(suite.read_text().replace("[comparison.set]", f"{extra}[comparison.set]"))


def shown(dataset, positions):
    """Images of digits, decoded and scaled here as trials see them: float32 (n, 3, 16, 16) in -1..1."""
    from bench.data.augment import Pipeline
    from bench.spec.recipe import Augment

    pixels = torch.stack([torch.from_numpy(np.array(dataset.read(int(one)))) for one in positions])
    return Pipeline(Augment(), input_size=16, mean=(0.5,) * 3, std=(0.5,) * 3).evaluate(pixels).numpy()


def with_onnxruntime(network, calibration, images, folder):
    """Logits of an int8 file that ONNX Runtime's own tools make."""

    class Reader(CalibrationDataReader):
        left = iter(calibration)

        def get_next(self):
            image = next(self.left, None)
            return None if image is None else {"x": image[None]}

    plain, ready, int8 = (folder / f"{name}.onnx" for name in ("plain", "ready", "int8"))
    batch = ({0: torch.export.Dim("b")},)
    example = (torch.from_numpy(images[:2]),)
    torch.onnx.export(network, example, plain, dynamo=True, dynamic_shapes=batch, external_data=False)
    quant_pre_process(plain, ready, skip_symbolic_shape=True)
    attends = "Softmax" in {node.op_type for node in onnx.load(ready).graph.node}
    quantize_static(
        ready,
        int8,
        Reader(),
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        op_types_to_quantize=["MatMul", "Conv", "Gemm"] if attends else None,
    )
    session = onnxruntime.InferenceSession(int8)
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: image[None]})[0] for image in images])


def with_openvino(network, calibration, images, folder):
    """Logits of the network that NNCF makes."""
    import nncf
    import openvino

    model = openvino.convert_model(network, example_input=torch.from_numpy(images[:2]))
    model.reshape([-1, 3, 16, 16])
    kinds = {one.get_type_name() for one in model.get_ops()}
    attends = bool(kinds & {"Softmax", "ScaledDotProductAttention"})
    kind = {"model_type": nncf.ModelType.TRANSFORMER} if attends else {}
    own = nncf.Dataset([image[None] for image in calibration])
    compiled = openvino.compile_model(nncf.quantize(model, own, subset_size=len(calibration), **kind), "CPU")
    return np.concatenate([compiled(image[None])[0] for image in images])


@pytest.mark.parametrize(
    ("condition", "model", "by_hand"),
    [("int8_onnxruntime", "vit", with_onnxruntime), ("int8_openvino", "resnet", with_openvino)],
)
def test_int8_gives_what_the_tools_give_in_a_plain_loop(
    condition, model, by_hand, tiny, run, tmp_path, monkeypatch
):
    ask(tiny, condition)
    library = condition.partition("_")[2]
    seen, runtime = [], type(find_runtime(library))
    quantise = runtime.quantise

    def recorded(self, path, images, out):
        seen.append(images)
        quantise(self, path, images, out)

    monkeypatch.setattr(runtime, "quantise", recorded)
    store, (outcome,) = run(tiny, only=[model])
    dataset, record, identity = (
        open_dataset("digits", None, tmp_path),
        outcome.record,
        outcome.job.training.identity,
    )
    card, tensors = find_card(record.model.name), load_file(store.files(record.id).weights)
    network = make_model(
        card, resolve_weights(card, "none", tmp_path, download=False), classes=10, input_size=16
    )
    network.eval().load_state_dict(tensors)
    subset = draw_subset(
        dataset.id_name,
        dataset.split_id,
        dataset.split_labels("train"),
        identity["shots"],
        identity["draw_seed"],
    )
    assert len(subset) == 30 < CALIBRATION_IMAGES
    calibration = shown(dataset, dataset.splits["train"][subset])
    # What it was calibrated on is the subset that it was trained on, and nothing else.
    np.testing.assert_allclose(np.concatenate(seen), calibration, atol=1e-6)
    test = dataset.splits["test"]
    logits = by_hand(network, calibration, shown(dataset, test), tmp_path)
    stored = pd.read_parquet(store.evaluation_files(record.id, condition).predictions)["predicted"].to_numpy()
    given, plain = (
        np.load(store.evaluation_files(record.id, one).probabilities).astype(float)
        for one in (condition, "clean")
    )
    by_tools = softmax(logits, axis=1)
    assert np.abs(given - by_tools).mean() < np.abs(plain - by_tools).mean() / 3
    # Sums are in another order where batches are larger: a level of int8 may tip over.
    assert (logits.argmax(1) == stored).mean() > 0.99
    result, clean = store.result(record.id, condition), store.result(record.id)
    assert result.top1 == pytest.approx((stored == dataset.labels[test]).mean())
    details = result.evaluation.details
    assert details["calibration"] == "30 training images"
    assert details["runtime"] == library and library in details["runtime_versions"]
    (row,) = build_tables(store)["robustness"].to_dict("records")
    assert (row["condition"], row["levels"]) == (condition, "")
    assert (row["clean_top1"], row["top1"]) == pytest.approx((clean.top1, result.top1))


@pytest.mark.parametrize("condition", EXTRAS)
def test_a_missing_library_is_said_before_anything_is_trained(condition, tiny, run, monkeypatch):
    ask(tiny, condition)
    missing = {"int8_onnxruntime": "onnx", "int8_openvino": "nncf"}[condition]
    true = bench.runtimes.find_spec
    monkeypatch.setattr(bench.runtimes, "find_spec", lambda name: None if name == missing else true(name))
    with pytest.raises(InputError, match=rf'"{condition}": needs {missing}; pip install') as refused:
        require_runtimes(load_suite(str(tiny)))
    assert f"'vcbench[{EXTRAS[condition]}]'" in str(refused.value)


def test_a_probe_has_no_network_to_quantise(tiny):
    ask(tiny, "int8_onnxruntime")
    text, _, _ = tiny.read_text().partition("[comparison.set]")
    tiny.write_text(text.replace('recipe = "scratch"', 'recipe = "linear-probe"'))
    suite = load_suite(str(tiny))
    with pytest.raises(InputError, match='is of whole networks, and recipe "linear-probe" of'):
        conditions_of(suite, suite.comparison[0])
