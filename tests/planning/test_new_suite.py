"""vcbench new: which weights it chooses, and what it refuses."""

import tomllib

import numpy as np
import pytest
from PIL import Image

from bench.errors import InputError
from bench.planning.new_suite import write_suite


@pytest.fixture
def photos(tmp_path):
    for name in ("a", "b"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for image in range(10):
            pixels = np.random.default_rng(100 * ord(name) + image).integers(0, 255, (20, 20, 3))
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "photos" / name / f"{image}.png")
    return tmp_path / "photos"


LNQ, LITE = "deit_tiny_patch16_224_lnq", "tf_efficientnet_lite0"


def test_a_random_network_is_never_set_against_a_pretrained_one_unasked(photos, tmp_path):
    out, weights = tmp_path / "s.toml", tmp_path / "weights"
    with pytest.raises(InputError, match=f"{LNQ}: no pretrained weights .*--weights none") as refused:
        write_suite(photos, f"{LNQ},{LITE}", None, out, weights_dir=weights)
    assert LITE in str(refused.value) and not out.exists()
    asked = write_suite(photos, f"{LNQ},{LITE}", None, out, weights="none", weights_dir=weights)
    models = tomllib.loads(asked.path.read_text())["models"]
    assert {model["weights"] for model in models.values()} == {"none"}
    assert tomllib.loads(asked.path.read_text())["comparison"][0]["recipe"] == "scratch"


def test_a_local_file_is_taken_and_said(photos, tmp_path):
    out, weights = tmp_path / "s.toml", tmp_path / "weights"
    weights.mkdir()
    (weights / f"{LNQ}.safetensors").write_bytes(b"")
    written = write_suite(photos, f"{LNQ},{LITE}", None, out, weights_dir=weights)
    suite = tomllib.loads(out.read_text())
    assert {model["weights"] for model in suite["models"].values()} == {"card"}
    assert suite["models"][LNQ]["title"] == "DeiT-Ti/16 (rounded LayerNorm)"
    assert suite["comparison"][0]["recipe"] == "finetune" and suite["comparison"][0]["name"] == "photos"
    said = "\n".join(written.choices)
    assert f"{LNQ}.safetensors" in said and "from the hub" in said and "2 classes; 14 train" in said
