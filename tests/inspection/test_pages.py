"""The gallery and the page of `explain`, of small networks that were never trained."""

import base64
import hashlib
import io
import json
import re
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import timm
import torch
from inspection.networks import SMALL, hybrid
from PIL import Image

from bench.files import slug
from bench.inspection import encoding
from bench.inspection.gallery import draw
from bench.inspection.images import Picture, example, sample
from bench.inspection.loading import Loaded, load
from bench.inspection.pictures.journey import early_logits
from bench.inspection.pictures.layers import fields, first_filters
from bench.inspection.pictures.likeness import alike
from bench.inspection.pictures.sequence import patches
from bench.inspection.tokens import NotShown
from bench.inspection.view import View
from bench.inspection.walkthrough import to_html as walkthrough
from bench.networks import find_card, make_model, resolve_weights
from bench.profiling.flops import count
from bench.spec.recipe import Augment


def loaded(name, title, size=32, classes=5, **options):
    """A network of a card with other options, with so many outputs."""
    card = find_card(name)
    card = card.model_copy(update={"options": card.options | options, "title": title})
    weights = resolve_weights(card, "none", Path(), download=False)
    network = make_model(card, weights, classes=classes, input_size=size).eval()
    names = [f"class {k}" for k in range(classes)]
    return Loaded(
        slug(name),
        f"{title}, RANDOM WEIGHTS",
        card,
        network,
        "random",
        size,
        Augment(),
        Augment().stored_size(size),
        names,
        "cpu",
    )


@pytest.fixture(scope="module")
def views():
    """A ViT and a ResNet that look at the same image."""
    averaged = sample(None, "val", 16)
    small = {key: value for key, value in SMALL.items() if key in ("depth", "num_heads", "embed_dim")}
    vit = loaded("vit_micro_patch4_32", "A <ViT> & more", **small)
    resnet = loaded("resnet18_quarter_cifar", "A ResNet")
    return [View(model, example("flower"), averaged) for model in (vit, resnet)]


@pytest.fixture(scope="module")
def gallery(views):
    return draw(views)


def test_a_network_of_two_classes_is_read_off_early(views):
    two = loaded("vit_micro_patch4_32", "Two", classes=2, depth=2, num_heads=2, embed_dim=32)
    figure = early_logits(View(two, views[0].picture, views[0].sample))
    assert figure.data.groupby("block")["class"].nunique().tolist() == [2, 2]
    np.testing.assert_allclose(figure.data.groupby("block")["probability"].sum(), 1, atol=1e-5)
    assert "the 2 classes" in figure.caption


def test_maps_are_called_as_the_steps_that_they_come_out_of(views):
    mobile = timm.create_model("mobilenetv3_small_050", num_classes=5).eval()
    views = [*views, replace(views[1], model=replace(views[1].model, network=mobile))]
    for view in views:
        shapes = {step.title.lower(): step.output for step in view.steps}
        for name, one in zip(view.layer_names, view.maps, strict=True):
            (_, channels, height, width), shape = one.shape, shapes[name]
            tokens = (height * width + 1, channels)
            assert shape == (tokens if name.startswith("block") else (channels, height, width))
    assert views[2].layer_names[-1] == "stage 7" and len(views[2].maps) == 5


def test_every_picture_has_numbers_and_words(gallery, tmp_path):
    page = gallery.write(tmp_path)
    names = {picture.name for picture in gallery.pictures}
    assert len(names) == len(gallery.pictures) >= 18
    for picture in gallery.pictures:
        assert len(pd.read_csv(tmp_path / f"{picture.name}.csv"))
        if picture.kind == "figure":
            assert picture.alt and picture.caption
            assert Image.open(tmp_path / f"{picture.name}.png").width > 1000
    text = page.read_text(encoding="utf-8")
    linked = set(re.findall(r'href="([^"#:]+)"', text))
    assert linked == {path.name for path in tmp_path.iterdir()} - {"index.html"}
    alone = gallery.write(tmp_path / "alone", page_only=True)
    assert list(alone.parent.iterdir()) == [alone]
    assert not re.findall(r'href="([^"#:]+)"|CSV', alone.read_text(encoding="utf-8"))
    assert "as CSV" in text
    assert "RANDOM WEIGHTS" in text and "<ViT>" not in text and "&lt;ViT&gt;" in text
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', text)
    policy, style = (
        re.search('Policy" content="(.*?)"', text)[1],
        re.search("<style>(.*?)</style>", text, re.S)[1],
    )
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in policy and "script-src" not in policy and ' style="' not in text


def test_what_a_cnn_lacks_is_one_line_each_reason(gallery):
    (line,) = [line for line in gallery.left_out if line.startswith("A ResNet") and "tokens" in line]
    assert "attention matrices" in line and "position embeddings" in line


def test_a_title_of_random_weights_says_so(views):
    assert all(view.model.is_random for view in views)
    gallery = draw(views[1:])
    assert "RANDOM WEIGHTS" in gallery.html()
    trained = replace(views[1].model, title="A ResNet")
    for drawn, said in ((gallery, True), (draw([replace(views[1], model=trained)]), False)):
        figures = [one for one in drawn.pictures if one.kind == "figure"]
        for figure in figures:  # a picture that leaves the page says so too
            assert any("RANDOM WEIGHTS" in text.get_text() for text in figure.drawing.texts) == said


def planted(views, weights):
    """The view of the ViT with other attention, (blocks, heads, tokens, tokens)."""
    view = View(views[0].model, views[0].picture, views[0].sample)
    view.__dict__["attention"] = weights
    return view


def numbers(picture):
    return picture.data.set_index(["block", "head", "row", "column"]).iloc[:, 0]


def test_attention_to_one_patch_is_drawn_there(views):
    from bench.inspection.pictures.attention import from_class_token, matrices, reach

    tokens = views[0].tokens.count
    weights = torch.zeros(3, 2, tokens, tokens)
    weights[..., 1 + 8 * 2 + 5] = 1  # row 3, column 6 of 8 x 8 patches
    shown = numbers(from_class_token(planted(views, weights)))
    assert (shown.xs((3, 6), level=("row", "column")) == 1).all() and shown.sum() == 6
    diagonal = planted(views, torch.eye(tokens).expand(3, 2, tokens, tokens).clone())
    shown = matrices(diagonal).data
    assert (shown["to_itself"] == 1).all() and (shown["entropy_nats"].abs() < 1e-6).all()
    assert (reach(diagonal).data["distance_px"] == 0).all()


def test_few_images_are_enough_or_it_is_said(views):
    few = [replace(views[0], sample=sample(None, "val", count)) for count in (5, 3)]
    assert alike(few[:1]).data["cka"].between(0, 1).all()
    with pytest.raises(NotShown, match="4 images"):
        alike(few[1:])


@pytest.mark.parametrize(("count", "told", "fields_told"), [
    (37, "over the first 32 of 37 scenes", "over the first 8 of 37 scenes"),
    (16, "over 16 scenes", "over the first 8 of 16 scenes"),
    (7, "over 7 scenes", "over 7 scenes"),
])  # fmt: skip
def test_captions_say_over_how_many_images_is_averaged(views, monkeypatch, count, told, fields_told):
    """Against the images that the network is given."""
    view, given = replace(views[1], sample=sample(None, "val", count)), []
    true = Loaded.inputs
    monkeypatch.setattr(Loaded, "inputs", lambda self, images: given.extend(images) or true(self, images))
    for picture, said in ((alike, told), (fields, fields_told)):
        given.clear()
        assert f"{said} drawn at random." in picture([view]).caption
        number = re.search(r"first (\d+) of|over (\d+) scenes", said)
        assert len(given) == int(number[1] or number[2])


def data_of(page):
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    return json.loads(text)


def values_of(uri):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))) / 255


@pytest.fixture(scope="module")
def page(views):
    return walkthrough(views, [example("flower"), Picture(np.zeros((9, 9, 3), np.uint8), "</script>")])


def test_the_steps_of_the_page_add_up_to_the_cost(views, page):
    for view, model in zip(views, data_of(page)["models"], strict=True):
        whole = count(view.model.network, 32)
        assert (model["flops"], model["params"]) == (whole["flops"], whole["params"])
        assert sum(step["flops"] for step in model["steps"]) == whole["flops"]
        rest = sum(s[k] for s in model["steps"] for k in ("flops",) if s["part"] in ("end", "head"))
        first = 0 if model["tokens"] is None else model["steps"][0]["flops"]
        assert sum(layer["flops"] for layer in model["layers"]) + rest >= whole["flops"] - first


def test_the_page_holds_the_attention_that_was_read(views, page):
    vit = data_of(page)["models"][0]
    tokens = views[0].tokens
    assert vit["tokens"]["grid"] == [8, 8] and vit["tokens"]["blocks"] == [1, 2, 3]
    block = vit["images"][0]["attention"][1]
    shown = values_of(block["rows"]).reshape(2, tokens.count, tokens.patches)
    exact = views[0].attention[1, :, :, 1:].numpy()
    best = np.concatenate([exact.mean(0, keepdims=True), exact]).argmax(-1)
    np.testing.assert_array_equal(peaks_of(block["peaks"], 2)[2:], best)
    np.testing.assert_allclose(shown, np.sqrt(exact / exact.max(-1, keepdims=True)), atol=0.5 / 15 + 1e-6)


def peaks_of(text, heads):
    return np.frombuffer(base64.b64decode(text), np.uint8).reshape(2 * heads + 1, -1)


def test_the_mean_of_the_heads_is_kept_and_each_peak():
    """Of two heads one attends strongly to a patch, the other weakly to all, to another patch most."""
    weights = torch.rand(2, 65, 64, generator=torch.Generator().manual_seed(0)) / 999
    weights[0, :, 9] += 0.9
    weights[1] += 0.005
    weights[1, :, 30] += 0.001
    rows = values_of(encoding.rows_of_attention(weights)).reshape(weights.shape)
    peaks = peaks_of(encoding.peaks(weights), 2)
    mean, exact = ((rows * peaks[:2, :, None]) ** 2).sum(0), weights.numpy()
    expected = exact.mean(0)
    np.testing.assert_allclose(mean / mean.max(-1, keepdims=True), expected / expected.max(), atol=0.01)
    np.testing.assert_array_equal(peaks[2], expected.argmax(-1))
    np.testing.assert_array_equal(peaks[3:], exact.argmax(-1))


OF_CNNS = ("Small filters slide", "A convolution needs no positions")
OTHERS = {
    "swin_tiny_patch4_window7_224": (
        {"img_size": 32, "depths": (2, 2), "embed_dim": 24, "num_heads": (2, 2), "window_size": 4},
        "cut into 8 x 8 patches of 4 x 4 px",
        "their own window of 4 x 4, which every other block moves",
        "The last maps are averaged",
    ),
    "xcit_nano_12_p16_224": (
        {"img_size": 32, "depth": 2, "embed_dim": 32},
        "into numbers for fewer places",
        "is not drawn here",
        "What the last layers give",
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_true_of_cnns_is_not_told_of_others(views, page, name):
    options, *told = OTHERS[name]
    network = timm.create_model(name, num_classes=5, **options).eval()
    model = replace(views[1].model, network=network)
    text = walkthrough([replace(views[1], model=model)], [example("flower")])
    assert all(one in text for one in told) and not any(one in text for one in OF_CNNS)
    assert all(one in page for one in OF_CNNS)


def test_patches_of_a_stem_are_not_cut_from_the_image(views):
    model = replace(views[0].model, network=hybrid(), size=64)
    view = View(model, views[0].picture, views[0].sample)
    with pytest.raises(NotShown, match="convolutional stem"):
        patches(view)
    filters = first_filters(view)
    assert len(filters.data) == 64 and "first convolution, 7 x 7 px" in filters.caption
    text = walkthrough([view], [example("flower")])
    assert "2 x 2 places, one for every 32 x 32 px" in text and "The image is cut" not in text


def test_a_network_without_evidence_has_its_page(views):
    """XCiT ends in a sequence, and its attention is one of channels."""
    xcit = timm.create_model("xcit_nano_12_p16_224", img_size=32, depth=2, embed_dim=32, num_classes=5).eval()
    page = walkthrough([replace(views[1], model=replace(views[1].model, network=xcit))], [example("flower")])
    (model,) = data_of(page)["models"]
    assert model["images"][0]["evidence"] == {"missing": "it ends in no feature map"}
    assert "is left out: it ends in no feature map." in page and '<canvas class="evidence"' not in page
    assert len(model["layers"]) == len(model["images"][0]["maps"]) == 2


def test_a_network_without_feature_maps_has_its_page(views):
    network = deepcopy(views[1].model.network)
    network.__class__ = type("Closed", (type(network),), {"forward_intermediates": property()})
    page = walkthrough(
        [replace(views[1], model=replace(views[1].model, network=network))], [example("flower")]
    )
    (model,) = data_of(page)["models"]
    assert model["layers"] == model["images"][0]["maps"] == [] and model["images"][0]["evidence"]["map"]
    assert "Its layers are left out: timm gives no feature maps of it." in page
    assert '<canvas class="place"' not in page


def test_the_page_needs_no_network_and_is_small(page):
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', page)
    assert len(page) < 3e6 and page.count("</script>") == 2


def test_squares_that_patches_do_not_fill_are_pooled_too():
    grid, generator = (5, 3), torch.Generator().manual_seed(0)
    attention = torch.rand(2, 17, 17, generator=generator).softmax(-1)
    small = encoding.pooled(attention, 2, grid, 2)
    of = [0, 1] + [2 + row // 2 * 2 + column // 2 for row in range(5) for column in range(3)]
    expected = torch.zeros(2, 8, 8)
    for query, into in enumerate(of):
        for key, out in enumerate(of):
            expected[:, into, out] += attention[:, query, key] / of.count(into)
    torch.testing.assert_close(small, expected)


def test_a_page_tells_of_all_patches_where_squares_do_not_fill(views):
    model = loaded("vit_micro_patch4_32", "Uneven", size=68, depth=1, num_heads=2, embed_dim=32)
    view = View(model, views[0].picture, views[0].sample)
    text = walkthrough([view], [example("flower")])
    assert "cut into 17 x 17 patches" in text
    (vit,) = data_of(text)["models"]
    assert (vit["tokens"]["cut"], vit["tokens"]["grid"], vit["tokens"]["factor"]) == ([17, 17], [9, 9], 2)
    assert values_of(vit["images"][0]["attention"][0]["rows"]).shape == (2 * (1 + 81), 81)


def test_large_grids_are_pooled_and_rows_still_sum_to_one():
    grid, generator = (4, 6), torch.Generator().manual_seed(0)
    attention = torch.rand(2, 25, 25, generator=generator).softmax(-1)
    small = encoding.pooled(attention, 1, grid, 2)
    assert small.shape == (2, 7, 7)
    torch.testing.assert_close(small.sum(-1), torch.ones(2, 7))
    # The upper left square of patches as it is attended to by the class token, and by itself.
    square = [1, 2, 7, 8]
    torch.testing.assert_close(small[:, 0, 1], attention[:, 0, square].sum(-1))
    torch.testing.assert_close(small[:, 1, 1], attention[:, square][:, :, square].sum(-1).mean(-1))


@pytest.mark.parametrize("size", [None, 32])
def test_random_weights_are_said_at_every_size(size, tmp_path):
    model = load("vit_digits", weights=None, weights_dir=tmp_path, results=tmp_path, input_size=size)
    assert model.is_random and "RANDOM WEIGHTS" in model.title
    assert model.input(np.zeros((9, 12, 3), np.uint8)).shape[-1] == (
        size or find_card("vit_digits").input_size
    )
