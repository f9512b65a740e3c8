"""OpenVINO: networks as its own files, quantised by NNCF."""

import logging
from pathlib import Path

import numpy as np
from torch import Tensor, nn

from bench.runtimes import INPUT, Run, Runtime

ATTENTION = ("Softmax", "ScaledDotProductAttention")


class OpenVino(Runtime):
    """See `bench.runtimes.Runtime`."""

    name, title, extra = "openvino", "OpenVINO", "openvino"
    needs, needs_int8 = ("openvino",), ("nncf",)
    file = "model.xml"

    def write(self, network: nn.Module, images: Tensor, path: Path, outputs: tuple[str, ...]) -> None:
        """See `Runtime.write`; the weights lie beside it in a .bin file."""
        import openvino
        import torch

        with torch.inference_mode():
            model = openvino.convert_model(
                network, example_input=images, input=[(INPUT, [-1, *images.shape[1:]], np.float32)]
            )
        for output, name in zip(model.outputs, outputs, strict=True):
            output.get_tensor().set_names({name})
        openvino.save_model(model, path, compress_to_fp16=False)

    def quantise(self, path: Path, images: np.ndarray, out: Path) -> None:
        """See `Runtime.quantise`."""
        import nncf
        import openvino

        logging.getLogger("nncf").setLevel(logging.ERROR)
        model = openvino.Core().read_model(path)
        attends = any(one.get_type_name() in ATTENTION for one in model.get_ops())
        batches = nncf.Dataset([images[k : k + 1] for k in range(len(images))])
        quantised = nncf.quantize(
            model,
            batches,
            subset_size=len(images),
            model_type=nncf.ModelType.TRANSFORMER if attends else None,
        )
        openvino.save_model(quantised, out, compress_to_fp16=False)

    def open(self, path: Path, *, threads: int, batch_size: int | None = None) -> Run:
        """See `Runtime.open`."""
        import openvino

        core = openvino.Core()
        model = core.read_model(path)
        if batch_size is not None:
            model.reshape(
                [batch_size, *(int(side.get_length()) for side in list(model.input().partial_shape)[1:])]
            )
        # Left to itself, a processor with instructions for it computes in bf16, on one thread a core.
        settings = {
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "ENABLE_HYPER_THREADING": True,
        }
        request = core.compile_model(model, "CPU", settings).create_infer_request()
        return lambda images: request.infer([images])[0].copy()


RUNTIME = OpenVino()
