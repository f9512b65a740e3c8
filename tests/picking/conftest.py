"""A small folder of photos, weights of small networks, and the command on them."""

import pytest
from safetensors.torch import save_file
from small_pick import MODELS, NAMES, fill

from bench.networks import find_card, make_model, resolve_weights


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    for seed, name in enumerate(MODELS):
        card = find_card(name)
        none = resolve_weights(card, "none", folder, download=False)
        network = make_model(card, none, classes=10, input_size=16, seed=seed)
        save_file(network.state_dict(), folder / f"{name}.safetensors")
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return fill(tmp_path_factory.mktemp("pictures") / "photos")


@pytest.fixture
def pick(vcbench, weights, photos):
    def call(*options, data=photos, models=NAMES):
        named = ["--models", models] if models else []
        return vcbench(
            "pick", str(data), *named, "--input-size", "16", "--device", "cpu",
            "--weights-dir", str(weights), *options,
        )  # fmt: skip

    return call
