"""Models made again from their weights predict what they predicted."""

import numpy as np
import pandas as pd
import pytest
import timm
import torch
from safetensors.torch import save_file

from bench.errors import WeightsError
from bench.networks import find_card
from bench.planning.plan import Resolver
from bench.training.inputs import Inputs
from bench.training.observer import Silent
from bench.training.stored import read_network, read_probe


def test_the_stored_network_predicts_what_is_stored(tiny, run, tmp_path):
    """By a plain pass over the test images, which are scikit-learn's digits at their own size of 8 px."""
    store, outcomes = run(tiny)
    for outcome in outcomes:
        record, files = outcome.record, store.files(outcome.job.training.id)
        card = find_card(record.model.name)
        network = read_network(files.weights, card, outputs=10, input_size=16).eval()
        inputs = Inputs.open(outcome.job.training, Resolver(tmp_path, tmp_path, None), "cpu", files, Silent())
        with torch.inference_mode():
            pixels = torch.from_numpy(np.array(inputs.decode("test")))
            logits = network(inputs.pipeline.evaluate(pixels))
        own = store.evaluation_files(record.id)
        predictions = pd.read_parquet(own.predictions)
        assert (predictions["predicted"].to_numpy() == logits.argmax(1).numpy()).all()
        stored = np.load(own.probabilities).astype(np.float32)
        np.testing.assert_allclose(logits.softmax(1).numpy(), stored, atol=1e-3)


def test_a_network_at_another_size_has_timms_resampled_position_embedding(tmp_path):
    card = find_card("vit_digits")
    torch.manual_seed(0)
    small = timm.create_model(card.architecture, num_classes=10, **card.options, img_size=16)
    torch.nn.init.normal_(small.pos_embed)
    save_file(small.state_dict(), tmp_path / "weights.safetensors")
    large = read_network(tmp_path / "weights.safetensors", card, outputs=10, input_size=32)
    patch = small.patch_embed.patch_size[0]
    grid = small.pos_embed[:, 1:].reshape(1, 16 // patch, 16 // patch, -1).permute(0, 3, 1, 2)
    wanted = torch.nn.functional.interpolate(
        grid, (32 // patch, 32 // patch), mode="bicubic", antialias=True, align_corners=False
    )
    torch.testing.assert_close(large.pos_embed[:, 1:], wanted.permute(0, 2, 3, 1).flatten(1, 2))
    for name, value in small.state_dict().items():
        if name != "pos_embed":
            assert torch.equal(large.state_dict()[name], value), name
    with pytest.raises(WeightsError, match="does not fit vit_digits at 16 px.*head"):
        read_network(tmp_path / "weights.safetensors", card, outputs=9, input_size=16)
    assert large.eval()(torch.zeros(1, 3, 32, 32)).shape == (1, 10)


def test_the_stored_probe_is_the_one_that_was_fitted(tmp_path):
    rng = np.random.default_rng(0)
    weight, bias = rng.normal(size=(3, 8)).astype(np.float32), rng.normal(size=3).astype(np.float32)
    path = tmp_path / "weights.safetensors"
    save_file({"weight": torch.from_numpy(weight), "bias": torch.from_numpy(bias)}, path)
    features = rng.normal(size=(20, 8)).astype(np.float32)
    unit = features / np.sqrt((features**2).sum(1, keepdims=True))
    np.testing.assert_allclose(read_probe(path).logits(features), unit @ weight.T + bias, rtol=1e-5)
    save_file({"fc.weight": torch.from_numpy(weight)}, path)
    with pytest.raises(WeightsError, match="not the weights of a probe"):
        read_probe(path)
