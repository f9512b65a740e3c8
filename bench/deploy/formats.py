"""A run as a file for other programs, checked against the network that it was made of before it counts."""

import json
import math
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench import __version__
from bench.errors import BenchError, InputError, warn
from bench.files import write_bytes, write_text
from bench.inspection.loading import Loaded
from bench.networks.weight_file import read_tensors, tensors_as_bytes
from bench.runtimes import Runtime, find_runtime

# Largest distance of a file's logits from the network's in fp32, over the length of the latter.
TOLERANCE = 1e-4
CHECKED_IMAGES = 3
OUTPUTS = ("logits", "probabilities")
BEGAN = {"none": "random weights", "card": "pretrained weights"}
OWN_WEIGHTS = "weights of one's own, whose licence is not known"


class Mismatch(BenchError):
    """The file gives something else than the network."""


class Complete(nn.Module):
    """RGB images in 0..1 to logits and calibrated probabilities: what an exported graph computes.

    Input float32 (n, 3, size, size), outputs (n, classes) each.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, loaded: Loaded, temperature: float) -> None:
        super().__init__()
        self.network, self.temperature = loaded.network, temperature
        self.register_buffer("mean", loaded.pipeline.mean.view(3, 1, 1).float().cpu())
        self.register_buffer("std", loaded.pipeline.std.view(3, 1, 1).float().cpu())

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.network((images - self.mean) / self.std)
        return logits, (logits / self.temperature).softmax(1)


def facts(loaded: Loaded, temperature: float | None) -> dict[str, Any]:
    """What a user of the file has to know: classes, how images are made ready, licence, where it is from.

    `licence` is that of the pretrained weights that training began with; None where it began with others.
    `temperature` is None where probabilities are not calibrated. After an image is brought to `resize_px`,
    either the centre of `center_crop_px` is cut out, or all of it is scaled to `scale_px`, or neither, where
    it has the network's size already; what is not done is None.
    """
    augment, stored, size = loaded.augment, loaded.stored_side, loaded.size
    cut = stored == augment.stored_size(size)
    return {
        "model": loaded.title,
        "weights": loaded.weights,
        "began_with": BEGAN.get(loaded.began, OWN_WEIGHTS),
        "licence": loaded.card.licence if loaded.began == "card" else None,
        "class_names": list(loaded.classes),
        "temperature": temperature,
        "last_layer": "a linear probe of features brought to unit length" if loaded.is_probe else "its own",
        "preprocessing": {
            "order": "RGB, upright as EXIF says",
            "resize": "squash" if augment.resize == "squash" else "short side, then the centre square",
            "resize_px": stored,
            "interpolation": f"{augment.interpolation}, with antialiasing, as Pillow does",
            "center_crop_px": size if cut and stored != size else None,
            "scale_px": size if not cut and stored != size else None,
            "mean": [round(float(value), 6) for value in loaded.pipeline.mean.flatten()],
            "std": [round(float(value), 6) for value in loaded.pipeline.std.flatten()],
        },
        "made_by": f"VCBench {__version__}",
    }


def timm_transform(loaded: Loaded) -> dict[str, Any]:
    """How images are resized and cut, in the terms of timm's `create_transform`.

    What it lacks is a second scaling: of images that are stored small, as those of CIFAR are, it does the
    same only where they have the stored side already. It cuts once where the pipeline cuts twice: where what
    the second leaves out is odd, its centre may lie one pixel beside.
    """
    stored, size = loaded.augment.stored_size(loaded.size), loaded.size
    share = size / stored if loaded.stored_side == stored else 1.0
    if math.floor(size / share) < stored and share < 1:
        share = math.nextafter(share, 0)  # timm rounds down, where 29 may be 28.999...
    return {"crop_pct": share, "crop_mode": "squash" if loaded.augment.resize == "squash" else "center"}


def write_safetensors(loaded: Loaded, folder: Path, temperature: float | None) -> Path:
    """The weights under the names that timm gives them, and `facts` beside them."""
    path, weights = folder / "model.safetensors", loaded.network.state_dict()
    write_bytes(path, tensors_as_bytes(weights, {"format": "pt"}))
    read = read_tensors(path)
    if any(not torch.equal(read[name], value.cpu()) for name, value in weights.items()):
        raise Mismatch(f"{path}: reads back as something else")
    write_text(folder / "facts.json", json.dumps(facts(loaded, temperature), indent=2) + "\n")
    return path


def write_timm(loaded: Loaded, folder: Path, temperature: float | None) -> Path:
    """A folder that `timm.create_model("local-dir:FOLDER", pretrained=True)` reads.

    Warns where timm's own transform shows the network something else than it was evaluated on.

    Raises:
        InputError: the network is not one of timm's as it stands.
    """
    import timm

    card = loaded.card
    if card.stem is not None or loaded.is_probe:
        differs = "last layer, a linear probe, is not" if loaded.is_probe else "first layer is not"
        raise InputError(
            f"{card.name}: its {differs} that of timm's {card.architecture}; take --format onnx or "
            "safetensors"
        )
    about = facts(loaded, temperature)
    ready = about["preprocessing"]
    config = {
        "architecture": card.architecture,
        "num_classes": len(loaded.classes),
        "model_args": dict(card.options) | ({"img_size": loaded.size} if card.patch else {}),
        "label_names": about["class_names"],
        "pretrained_cfg": {
            "input_size": [3, loaded.size, loaded.size],
            **timm_transform(loaded),
            "interpolation": loaded.augment.interpolation,
            "mean": ready["mean"],
            "std": ready["std"],
            "num_classes": len(loaded.classes),
            "license": about["licence"],
        },
    }
    if ready["scale_px"]:
        warn(
            f"timm's own transform scales images to {loaded.size} px at once: the same only where they are "
            f"{loaded.stored_side} x {loaded.stored_side} px before; README.md says how others are made ready"
        )
    path = write_safetensors(loaded, folder, temperature)
    write_text(folder / "config.json", json.dumps(config, indent=2) + "\n")
    again = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    images = _images(loaded)
    mean, std = (values.view(3, 1, 1).cpu() for values in (loaded.pipeline.mean, loaded.pipeline.std))
    with torch.inference_mode():
        _check(again((images - mean) / std).numpy(), loaded, images, path)
    return path


def write_onnx(loaded: Loaded, folder: Path, temperature: float | None) -> Path:
    """One file, with `facts` in its metadata and any number of images at once.

    Input "images", float32 (n, 3, size, size), RGB in 0..1; outputs "logits" and "probabilities".
    """
    import onnx

    path, images = folder / "model.onnx", _images(loaded)
    runtime = find_runtime("onnxruntime")
    runtime.write(Complete(loaded, temperature or 1.0).eval(), images, path, OUTPUTS)
    model = onnx.load(path)
    onnx.helper.set_model_props(
        model, {name: json.dumps(value) for name, value in facts(loaded, temperature).items()}
    )
    onnx.checker.check_model(model)
    onnx.save(model, path)
    _check_file(runtime, path, loaded, images)
    return path


def write_openvino(loaded: Loaded, folder: Path, temperature: float | None) -> Path:
    """model.xml with model.bin, in fp32, as `write_onnx`; `facts` lie beside them."""
    path, images = folder / "model.xml", _images(loaded)
    runtime = find_runtime("openvino")
    runtime.write(Complete(loaded, temperature or 1.0).eval(), images, path, OUTPUTS)
    _check_file(runtime, path, loaded, images)
    write_text(folder / "facts.json", json.dumps(facts(loaded, temperature), indent=2) + "\n")
    return path


WRITERS: dict[str, Callable[[Loaded, Path, float | None], Path]] = {
    "onnx": write_onnx,
    "openvino": write_openvino,
    "timm": write_timm,
    "safetensors": write_safetensors,
}


def export_model(
    loaded: Loaded,
    form: str,
    out: Path,
    temperature: float | None,
    card: Callable[[str], str],
    also: Mapping[str, str] | None = None,
) -> Path:
    """Write a run in a form of `WRITERS` to a new folder, which is there only if the check was passed.

    Args:
        temperature: of calibrated probabilities; None leaves them as they are.
        card: gives the model card, of the name of the network's file.
        also: further texts by their paths in the folder.

    Returns:
        The file of the network.

    Raises:
        InputError: the folder is there already, the form's library is not installed, or the network does not
            fit the form.
        Mismatch: the file gives something else than the network.
    """
    if out.exists():
        raise InputError(f"{out}: is there already; give another --out")
    part = out.with_name(f".{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        path = WRITERS[form](loaded, part, temperature)
        for name, text in {"README.md": card(path.name), **(also or {})}.items():
            write_text(part / name, text)
        part.rename(out)
    except ImportError as error:
        raise InputError(f"--format {form}: needs {error.name}; pip install 'vcbench[{form}]'") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return out / path.name


def _images(loaded: Loaded) -> Tensor:
    """Random images, float32 (n, 3, size, size) in 0..1."""
    generator = torch.Generator().manual_seed(0)
    return torch.rand(CHECKED_IMAGES, 3, loaded.size, loaded.size, generator=generator)


def _check_file(runtime: Runtime, path: Path, loaded: Loaded, images: Tensor) -> None:
    """`_check` of what a runtime gives of a file, on images at once and on one."""
    run = runtime.open(path, threads=torch.get_num_threads())
    for part in (images, images[:1]):
        _check(run(part.numpy()), loaded, part, path)


def _check(logits: np.ndarray, loaded: Loaded, images: Tensor, path: Path) -> None:
    """Hold the logits of a file against those of the network.

    Raises:
        Mismatch: they are further apart than `TOLERANCE`.
    """
    with torch.inference_mode():
        expected = Complete(loaded, 1.0).eval()(images)[0].numpy()
    error = np.linalg.norm(logits - expected) / max(float(np.linalg.norm(expected)), 1e-30)
    if not error <= TOLERANCE:
        raise Mismatch(
            f"{path.name}: its logits are {error:.2g} away from the network's, relative to their length; "
            "nothing was written"
        )
