"""ONNX Runtime: networks as ONNX files, quantised by its own tools."""

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from torch import Tensor, nn

from bench.runtimes import INPUT, Run, Runtime

# Images that are passed at once while ranges of activations are taken.
CALIBRATION_BATCH = 8
# What is quantised of a network that attends; of others it is all that the library can.
PRODUCTS = ["Conv", "Gemm", "MatMul"]


class OnnxRuntime(Runtime):
    """See `bench.runtimes.Runtime`."""

    name, title, extra = "onnxruntime", "ONNX Runtime", "onnx"
    needs = ("onnxruntime", "onnx", "onnxscript")
    file = "model.onnx"

    def write(self, network: nn.Module, images: Tensor, path: Path, outputs: tuple[str, ...]) -> None:
        """See `Runtime.write`."""
        import torch

        program = torch.onnx.export(
            network,
            (images,),
            dynamo=True,
            input_names=[INPUT],
            output_names=list(outputs),
            dynamic_shapes={INPUT: {0: torch.export.Dim("n")}},
            verbose=False,
        )
        assert program is not None
        program.save(path, external_data=False)

    def quantise(self, path: Path, images: np.ndarray, out: Path) -> None:
        """See `Runtime.quantise`; in the QDQ format, activations unsigned."""
        import onnx
        from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
        from onnxruntime.quantization.shape_inference import quant_pre_process

        class Batches(CalibrationDataReader):  # type: ignore[misc]
            def __init__(self) -> None:
                self.left: Iterator[np.ndarray] = iter(
                    np.array_split(images, -(-len(images) // CALIBRATION_BATCH))
                )

            def get_next(self) -> dict[str, np.ndarray] | None:
                batch = next(self.left, None)
                return None if batch is None else {INPUT: batch}

        with tempfile.TemporaryDirectory() as folder, _without_advice():
            # Norms are folded into the convolutions before these are quantised.
            folded = Path(folder) / "folded.onnx"
            quant_pre_process(path, folded, skip_symbolic_shape=True)
            attends = any(node.op_type in ("Softmax", "Attention") for node in onnx.load(folded).graph.node)
            quantize_static(
                folded,
                out,
                Batches(),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=PRODUCTS if attends else None,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )

    def open(self, path: Path, *, threads: int, batch_size: int | None = None) -> Run:
        """See `Runtime.open`."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3
        if batch_size is not None:
            options.add_free_dimension_override_by_name("n", batch_size)
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        name = session.get_outputs()[0].name
        return lambda images: session.run([name], {INPUT: images})[0]


@contextmanager
def _without_advice() -> Iterator[None]:
    """Keep back what the tools write to the log of the whole program."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


RUNTIME = OnnxRuntime()
