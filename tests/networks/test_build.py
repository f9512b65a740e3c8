"""Networks from cards and weights: what is loaded, what is new, and what is refused."""

import random

import numpy as np
import pytest
import scipy.io
import timm
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch.nn import functional

from bench.errors import InputError, WeightsError
from bench.networks import Weights, find_card, make_model, resolve_weights

NO_REAL_DATA = "the real datasets are not here"
NONE = Weights("none", "none", None, "none (random initialisation)")
REAL = ["deit_tiny_patch16_224_lnq", "tf_efficientnet_lite0"]
LITES = ["tf_efficientnet_lite1", "tf_efficientnet_lite2"]  # not among the shared weights


def of_file(path) -> Weights:
    return Weights(f"file:{path}", "0" * 64, path, f"file {path}")


@pytest.fixture(scope="module")
def digits_file(tmp_path_factory):
    """Weights of vit_digits with 10 classes in a file, and the tensors themselves."""
    network = make_model(find_card("vit_digits"), NONE, classes=10, input_size=16, seed=5)
    path = tmp_path_factory.mktemp("weights") / "digits.safetensors"
    save_file(network.state_dict(), path)
    return path, network.state_dict()


@pytest.mark.parametrize("name", REAL)
def test_real_backbone_is_the_file(real_data, name):
    card = find_card(name)
    weights = resolve_weights(card, "card", real_data / "weights", download=False)
    tensors = load_file(weights.path)
    network = make_model(card, weights, classes=1000, input_size=224).state_dict()
    heads = {key for key in network if key.startswith(("head.", "classifier."))}
    assert len(heads) == 2 and network.keys() == tensors.keys()
    assert all(torch.equal(network[key], tensors[key]) for key in network.keys() - heads)
    assert not torch.equal(network[min(heads)], tensors[min(heads)])
    assert all(value.dtype == torch.float32 for value in network.values() if value.is_floating_point())


@pytest.mark.parametrize("name", REAL + LITES)
def test_real_head_recognises_daisies(real_data, name):
    card = find_card(name)
    if name in LITES and not (real_data / "weights" / f"{name}.safetensors").is_file():
        pytest.skip(f"{NO_REAL_DATA}: {name}")
    weights = resolve_weights(card, "card", real_data / "weights", download=False)
    network = make_model(card, weights, classes=None, input_size=224).eval()
    labels = scipy.io.loadmat(real_data / "flowers-102" / "imagelabels.mat")["labels"][0]
    pixels = []
    for number in np.flatnonzero(labels == 49)[:8] + 1:  # the oxeye daisy
        image = Image.open(real_data / "flowers-102" / "jpg" / f"image_{number:05d}.jpg")
        left, top = (image.width - 224) // 2, (image.height - 224) // 2
        pixels.append(np.asarray(image.crop((left, top, left + 224, top + 224)), dtype=np.float32) / 255)
    batch = (np.stack(pixels) - np.float32(card.mean)) / np.float32(card.std)
    with torch.no_grad():
        predicted = network(torch.from_numpy(batch).permute(0, 3, 1, 2)).argmax(1)
    assert (predicted == 985).sum() >= 6  # ImageNet's daisy


@pytest.mark.parametrize("size", [160, 224])
@pytest.mark.parametrize("name", REAL)
def test_real_network_is_the_one_that_timm_makes(real_data, name, size):
    """With the head of the file, and with a new one of as many classes or fewer, from the same seed."""
    card = find_card(name)
    weights = resolve_weights(card, "card", real_data / "weights", download=False)
    sized = {"img_size": size} if card.patch else {}
    for classes in (None, 1000, 7):
        network = make_model(card, weights, classes=classes, input_size=size, seed=3).state_dict()
        torch.manual_seed(3)
        new = timm.create_model(card.architecture, num_classes=classes or 1000, **sized).state_dict()
        loaded = timm.create_model(
            card.architecture, pretrained=True, pretrained_cfg_overlay={"file": str(weights.path)}, **sized
        ).state_dict()
        for key, value in network.items():
            head = key.startswith(("head.", "classifier.")) and classes is not None
            assert torch.equal(value, new[key] if head else loaded[key]), key


def test_real_position_embeddings_are_resampled(real_data):
    card = find_card(REAL[0])
    weights = resolve_weights(card, "card", real_data / "weights", download=False)
    network = make_model(card, weights, classes=5, input_size=160)
    source = load_file(weights.path)["pos_embed"]
    grid = source[:, 1:].reshape(1, 14, 14, -1).permute(0, 3, 1, 2)
    expected = functional.interpolate(grid, size=(10, 10), mode="bicubic", antialias=True)
    assert torch.equal(network.pos_embed[:, :1], source[:, :1])
    torch.testing.assert_close(network.pos_embed[:, 1:], expected.flatten(2).transpose(1, 2))
    assert network(torch.zeros(1, 3, 160, 160)).shape == (1, 5)


def test_real_cnn_takes_other_sizes(real_data):
    card = find_card(REAL[1])
    weights = resolve_weights(card, "card", real_data / "weights", download=False)
    assert make_model(card, weights, classes=5, input_size=160)(torch.zeros(2, 3, 160, 160)).shape == (2, 5)


@pytest.mark.parametrize("classes", [10, 3])
def test_the_head_is_new_and_follows_the_seed(digits_file, classes):
    path, tensors = digits_file
    card = find_card("vit_digits")
    first, same, other = (
        make_model(card, of_file(path), classes=classes, input_size=16, seed=seed).state_dict()
        for seed in (1, 1, 2)
    )
    for key, value in tensors.items():
        if not key.startswith("head."):
            assert torch.equal(first[key], value) and torch.equal(other[key], value)
    assert all(torch.equal(first[key], same[key]) for key in first)
    assert first["head.weight"].shape == (classes, 64)
    assert not torch.equal(first["head.weight"], other["head.weight"])
    if classes == 10:
        assert not torch.equal(first["head.weight"], tensors["head.weight"])


@pytest.mark.parametrize("name", ["vit_digits", "resnet_digits"])
def test_random_networks_follow_the_seed(name):
    card = find_card(name)
    first, same, other = (
        torch.cat(
            [p.flatten() for p in make_model(card, NONE, classes=10, input_size=16, seed=seed).parameters()]
        )
        for seed in (1, 1, 2)
    )
    assert torch.equal(first, same) and not torch.equal(first, other)


def test_random_state_of_the_caller_is_untouched(digits_file):
    torch.manual_seed(123)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    make_model(find_card("resnet_digits"), NONE, classes=10, input_size=16, seed=7)
    make_model(find_card("vit_digits"), of_file(digits_file[0]), classes=10, input_size=16, seed=7)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1]) and random.getstate() == before[2]


def test_both_heads_of_a_distilled_network_are_new(tmp_path):
    card = find_card("deit_tiny_distilled_patch16_224")
    source = make_model(card, NONE, classes=None, input_size=224, seed=1)
    save_file(source.state_dict(), tmp_path / "d.safetensors")
    network = make_model(card, of_file(tmp_path / "d.safetensors"), classes=1000, input_size=224, seed=2)
    for head in ("head", "head_dist"):
        assert not torch.equal(getattr(network, head).weight, getattr(source, head).weight)
    assert torch.equal(network.dist_token, source.dist_token)
    assert make_model(card, NONE, classes=9, input_size=224).head_dist.out_features == 9


def test_weights_of_a_cifar_stem_load(tmp_path):
    card = find_card("resnet_digits")
    source = make_model(card, NONE, classes=10, input_size=16, seed=1).state_dict()
    # Other frameworks do not count the batches of batch normalisation.
    kept = {key: value for key, value in source.items() if not key.endswith("num_batches_tracked")}
    save_file(kept, tmp_path / "r.safetensors")
    network = make_model(card, of_file(tmp_path / "r.safetensors"), classes=4, input_size=16).state_dict()
    assert all(torch.equal(network[key], value) for key, value in kept.items() if not key.startswith("fc."))


def without(key):
    return lambda tensors: {k: v for k, v in tensors.items() if k != key}


def replaced(key, value):
    return lambda tensors: {**tensors, key: value}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            replaced("blocks.1.attn.qkv.weight", torch.zeros(240, 80)),
            '"blocks.1.attn.qkv.weight" has shape (240, 80), vit_digits needs (192, 64)',
        ),
        (
            replaced("pos_embed", torch.zeros(1, 26, 64)),
            '"pos_embed" has shape (1, 26, 64), vit_digits needs (1, 17, 64)',
        ),
        (without("norm.bias"), '"norm.bias" is missing, vit_digits needs it with shape (64,)'),
        (
            replaced("blocks.3.norm1.bias", torch.zeros(64)),
            '"blocks.3.norm1.bias" of shape (64,) is not in vit_digits',
        ),
    ],
)
def test_a_tensor_that_does_not_fit_is_named(tmp_path, digits_file, change, says):
    path = tmp_path / "wrong.safetensors"
    save_file(change(digits_file[1]), path)
    with pytest.raises(WeightsError) as error:
        make_model(find_card("vit_digits"), of_file(path), classes=10, input_size=16)
    assert str(error.value) == f"{path}: tensor {says}"


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_weights_that_are_not_finite_are_refused(tmp_path, digits_file, value):
    path = tmp_path / "broken.safetensors"
    tensors = {name: tensor.clone() for name, tensor in digits_file[1].items()}
    tensors["blocks.2.mlp.fc1.weight"][3, 5] = value
    save_file(tensors, path)
    with pytest.raises(WeightsError) as error:
        make_model(find_card("vit_digits"), of_file(path), classes=10, input_size=16)
    says = 'tensor "blocks.2.mlp.fc1.weight" holds values that are not finite; fetch the file again'
    assert str(error.value) == f"{path}: {says}"


def test_keeping_a_head_needs_one_that_fits(digits_file):
    with pytest.raises(
        WeightsError, match=r'"head.weight" has shape \(10, 64\), vit_digits needs \(1000, 64\)'
    ):
        make_model(find_card("vit_digits"), of_file(digits_file[0]), classes=None, input_size=16)


@pytest.mark.parametrize("keep", [0, 4, 1000, -1])
def test_a_cut_file_is_named(tmp_path, digits_file, keep):
    path = tmp_path / "cut.safetensors"
    path.write_bytes(digits_file[0].read_bytes()[:keep])
    with pytest.raises(WeightsError) as error:
        make_model(find_card("vit_digits"), of_file(path), classes=10, input_size=16)
    assert str(error.value).startswith(f"{path}: not a whole safetensors file") and "\n" not in str(
        error.value
    )


def test_pickles_and_missing_files_are_refused(tmp_path, digits_file):
    path = tmp_path / "pickle.safetensors"
    torch.save(digits_file[1], path)
    other = tmp_path / "weights.bin"
    other.write_bytes(digits_file[0].read_bytes())
    for wrong, says in (
        (path, "not a whole safetensors file"),
        (other, "name should end in .safetensors"),
        (tmp_path / "gone", "cannot be read"),
    ):
        with pytest.raises(WeightsError, match=says):
            make_model(find_card("vit_digits"), of_file(wrong), classes=10, input_size=16)


def test_a_model_without_a_card_is_converted_as_timm_does(tmp_path):
    card = find_card("test_vit")
    source = make_model(card, NONE, classes=None, input_size=card.input_size, seed=1).state_dict()
    authors = {**source, "pre_logits.fc.weight": torch.zeros(2, 2)}  # a layer that timm leaves out
    save_file(authors, tmp_path / "t.safetensors")
    network = make_model(
        card, of_file(tmp_path / "t.safetensors"), classes=3, input_size=card.input_size
    ).state_dict()
    assert all(
        torch.equal(network[key], value) for key, value in source.items() if not key.startswith("head.")
    )
    for change, says in (
        (without("norm.bias"), 'test_vit at .* px: Missing key.*"norm.bias"'),
        (replaced("x", torch.zeros(1)), 'test_vit at .* px: Unexpected key.*"x"'),
        (replaced("norm.bias", torch.zeros(3)), r'"norm.bias" has shape \(3,\), test_vit needs'),
    ):
        save_file(change(authors), tmp_path / "t.safetensors")
        with pytest.raises(WeightsError, match=says):
            make_model(card, of_file(tmp_path / "t.safetensors"), classes=3, input_size=card.input_size)


def test_weights_that_timm_cannot_resample(tmp_path):
    card = find_card("mixer_s32_224")
    save_file(make_model(card, NONE, classes=None, input_size=224).state_dict(), tmp_path / "m.safetensors")
    with pytest.raises(WeightsError) as error:
        make_model(card, of_file(tmp_path / "m.safetensors"), classes=3, input_size=256)
    assert "does not fit mixer_s32_224 at 256 px: size mismatch for blocks.0" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"input_size": 18}, "input_size 18 is not a multiple of its patches of 4 px; 16 is"),
        ({"input_size": 0}, "input_size is 0"),
        ({"classes": 0}, "classes is 0"),
        ({"drop_path": 1.0}, "drop_path is 1.0"),
    ],
)
def test_arguments_that_do_not_fit(given, says):
    with pytest.raises(InputError, match=says):
        make_model(find_card("vit_digits"), NONE, **{"classes": 10, "input_size": 16, **given})


@pytest.mark.parametrize("name", ["vit_digits", "resnet_digits", "convnext_tiny", "tf_efficientnet_lite0"])
def test_drop_path_reaches_the_network(name):
    card = find_card(name)
    with torch.device("meta"):
        network = make_model(card, NONE, classes=10, input_size=card.input_size, drop_path=0.25)
    rates = [module.drop_prob for module in network.modules() if type(module).__name__ == "DropPath"]
    assert 0.15 < max(rates) <= 0.25


def test_drop_path_that_timm_does_not_take():
    with pytest.raises(
        InputError, match="vgg11: timm cannot make vgg11 with num_classes=10, drop_path_rate=0.1"
    ):
        make_model(find_card("vgg11"), NONE, classes=10, input_size=224, drop_path=0.1)
