"""vcbench pick, on a small folder, with small networks whose weights lie in a folder."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from safetensors.torch import save_file
from small_store import write_store

import vcbench as api
from bench.errors import InputError
from bench.networks import find_card, make_model, resolve_weights
from bench.picking.candidates import FETCHED, LeftOut, alternating, default_pool, find_candidates
from bench.picking.sentences import sentences
from bench.picking.trained import Trained, trained_by
from bench.spec.suite import load_suite
from bench.store.run_store import RunStore
from bench.tables.tables import build_tables

MODELS = ("vit_digits", "resnet_digits", "resnet_digits_small")
NAMES = ",".join(MODELS)
CLASSES = ("cat", "dog", "owl")
MEASURED = """
[[profiles.measured]]
what = ["memory"]
models = ["vit_digits", "resnet_digits"]
classes = 3
input_size = 16
batch_sizes = [1, 4]
limits = false
"""  # speed and 32 images too would take half a minute


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    for seed, name in enumerate(MODELS):
        card = find_card(name)
        none = resolve_weights(card, "none", folder, download=False)
        network = make_model(card, none, classes=10, input_size=16, seed=seed)
        save_file(network.state_dict(), folder / f"{name}.safetensors")
    return folder


def fill(folder, per_class=110):
    random = np.random.default_rng(0)
    for number, name in enumerate(CLASSES):
        (folder / name).mkdir(parents=True)
        for image in range(per_class):
            pixels = random.integers(0, 120, (16, 16, 3), dtype=np.uint8)
            pixels[..., number] += 60
            Image.fromarray(pixels).save(folder / name / f"{image}.png")
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


def test_an_answer_a_table_and_a_suite_that_goes_on(pick, tmp_path, monkeypatch):
    monkeypatch.setattr("bench.picking.suite.LENGTHS", ())  # no time for fine-tuning
    status, out, err = pick("--budget", "60s", "--json")
    assert status == 0, err
    answer = json.loads(out)
    table = pd.DataFrame(answer["table"])
    assert set(table["model"]) == set(MODELS) and table["params"].gt(0).all()
    assert "val images that had no part in choosing it" in answer["answer"][0]
    judged = table.dropna(subset=["top1"])
    assert (judged["unseen"] == 33).all() and judged["low"].le(judged["top1"]).all()
    assert answer["best"] == judged["model"].iloc[0] and judged["cv_top1"].is_monotonic_decreasing
    assert "vcbench run pick-photos.toml" in answer["next"]
    suite = load_suite(str(tmp_path / "pick-photos.toml"))
    assert [one.name for one in suite.comparison] == ["photos-finetune", "photos-probe"]
    assert suite.comparison[0].protocol == "tuned" and len(suite.models) == len(judged)
    record = json.loads((tmp_path / "pick-photos.json").read_text())
    for row in judged.itertuples():
        right = record["judged"][row.model]
        assert np.mean(right) == pytest.approx(row.top1)
        assert record["rounds"][row.model][-1]["images"] == row.sample == 231
    assert len(record["val_positions"]) == 33 and set(record["weights"]) == set(MODELS)
    # The test split was not looked at.
    assert not (tmp_path / "results/evaluations").exists()


def test_fine_tuning_where_there_is_time_and_the_run_goes_on(pick, vcbench, tmp_path, weights, monkeypatch):
    from bench.picking.length import Length

    monkeypatch.setattr("bench.picking.suite.LENGTHS", (Length(2, 0),))
    monkeypatch.setattr("bench.picking.suite._measured", lambda picked, named: MEASURED)
    monkeypatch.setattr("bench.picking.pick.SURVIVORS", 2)
    status, out, err = pick("--budget", "5m", models="vit_digits,resnet_digits")
    assert status == 0, err
    assert "Three replicates would show" in out and "trained on all images" in out
    assert "linear probe" not in out
    store = api.open(tmp_path / "results")
    accuracy = store.accuracy.groupby(["recipe", "model"])["top1"].mean()
    assert {recipe for recipe, _ in accuracy.index} == {"finetune", "linear-probe"} and len(accuracy) == 4
    for model in ("vit_digits", "resnet_digits"):
        assert f"{accuracy['finetune', model]:.1%}" in out
    memory = store.memory.set_index(["model", "batch_size"])["peak_rss_mib"]
    for model in ("vit_digits", "resnet_digits"):
        title = find_card(model).title
        (row,) = [line for line in out.partition("\nMODEL ")[2].splitlines() if line.startswith(f"{title}  ")]
        assert f" {memory[model, 4]:.0f} " in row
    searched = store.search.groupby("contestant").size()
    assert searched.nunique() == 1  # the same search for both
    probe = next(one for one in RunStore(tmp_path / "results").results() if one.recipe == "linear-probe")
    away = ("--format", "onnx", "--out", "away", "--uncalibrated", "--weights-dir", str(weights))
    status, out, err = vcbench("export", probe.id, *away)
    assert status == 0, err


def test_the_same_command_again_uses_what_it_has(pick, monkeypatch):
    import bench.picking.features as features

    monkeypatch.setattr("bench.picking.suite.LENGTHS", ())
    assert pick("--budget", "60s")[0] == 0
    monkeypatch.setattr(features, "forward_all", lambda *rest, **more: pytest.fail("computed again"))
    status, out, _ = pick("--budget", "60s")
    assert status == 0 and "PARETO" in out


def test_in_python(photos, weights, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("bench.picking.suite.LENGTHS", ())
    answer = api.pick(
        photos, "60s", models=MODELS, input_size=16, device="cpu", weights_dir=weights, progress=False
    )
    assert answer.best in MODELS and answer.best in set(answer.table["model"])
    assert str(answer).startswith(("Take ", answer.table["title"].iloc[0]))
    assert api.load_suite(answer.suite).name == "pick-photos"
    assert len(answer.figure().axes[0].texts) == answer.table["group"].notna().sum()
    assert "<table" in answer._repr_html_()


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--budget", "0s"], "should be a duration"),
        (["--budget", "4s"], "--budget: 4 s are too little: timing networks takes about"),
        (["--max-params", "ten"], "--max-params ten: should be a number such as 10M"),
        (["--max-params", "10"], "no model can take part: resnet_digits_small has"),
        (["--max-latency", "5"], "--max-latency 5: should be a time such as 30ms"),
        (["--out", "there.txt"], "should end in .toml"),
        (["--models", " , "], "--models ' , ': should be names of models"),
        (["--budget", "30s", "--max-latency", "0.0001ms"], "no model can take part"),
    ],
)
def test_options_that_do_not_fit(pick, options, line):
    status, out, err = pick(*(options if "--budget" in options else ["--budget", "60s", *options]))
    assert status == 2 and line in err.replace("\n", " ") and not out


def test_a_model_without_weights_that_was_named_is_an_error(pick):
    status, _, err = pick("--budget", "30s", models="vit_digits,resnet_digits_large")
    assert status == 2 and "resnet_digits_large: no pretrained weights" in err


def test_a_file_that_no_pick_has_written_stays(pick, tmp_path):
    (tmp_path / "pick-photos.toml").write_text("mine")
    status, _, err = pick("--budget", "30s")
    assert status == 2 and "no pick has written it" in err
    assert (tmp_path / "pick-photos.toml").read_text() == "mine"


def test_a_file_beside_it_stays_too(pick, tmp_path):
    (tmp_path / "pick-photos.json").write_text("{}")
    status, _, err = pick("--budget", "30s")
    assert status == 2 and "pick-photos.json exists already" in err
    assert pick("--budget", "30s", "--out", "quick.toml")[0] == 2


def test_results_of_something_else_stay_as_they_are(pick, tmp_path):
    letters = tmp_path / "letters"
    letters.mkdir()
    (letters / "to-mother.txt").write_text("Dear")
    status, _, err = pick("--budget", "30s", "--results", str(letters))
    assert status != 0 and "letters: is no run store, and holds something else (to-mother.txt)" in err
    assert [path.name for path in letters.iterdir()] == ["to-mother.txt"]


def test_fine_tuning_that_fails_loses_no_answer(pick, tmp_path, monkeypatch):
    from bench.picking.length import Length

    def fails(*rest, **more):
        raise InputError("the disk is full")

    monkeypatch.setattr("bench.picking.suite.LENGTHS", (Length(1, 0),))
    monkeypatch.setattr("bench.picking.suite.MEASURING_S", 0)
    monkeypatch.setattr("bench.cli.running.run_and_tabulate", fails)
    status, out, err = pick("--budget", "5m")
    assert status == 0, err
    assert "Fine-tuning ended (the disk is full)" in out and (tmp_path / "pick-photos.json").exists()


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_damaged_image_loses_no_answer(pick, tmp_path, monkeypatch, split):
    from bench.data.subsets import growing_samples
    from bench.picking.race import sizes_of_rounds
    from bench.planning.new_suite import open_own

    monkeypatch.setattr("bench.picking.suite.LENGTHS", ())
    folder = fill(tmp_path / "photos")
    dataset = open_own(folder)
    labels = dataset.split_labels("train")
    first, second, *_ = growing_samples(
        dataset.id_name, dataset.split_id, labels, sizes_of_rounds(len(labels), len(CLASSES))
    )
    late = np.setdiff1d(second, first) if split == "train" else [0]
    damaged = Path(dataset.source(int(dataset.splits[split][late[0]])))
    damaged.write_bytes(damaged.read_bytes()[:60])
    status, out, err = pick("--budget", "60s", "--json", data=folder)
    assert status == 0, err
    answer = json.loads(out)
    stage = (
        f"race stopped at {len(first)} of 231 training images" if split == "train" else "judgement stopped"
    )
    assert f"The {stage}: {damaged}: cannot be decoded" in answer["next"]
    assert pd.DataFrame(answer["table"])["sample"].max() == (len(first) if split == "train" else 231)


def test_the_timing_of_a_slow_network_ends(photos, weights, monkeypatch):
    """Of one whose single image is slow no batch is timed; one that is late is left out between passes."""
    import bench.picking.features as features
    from bench.picking import pick as picking
    from bench.picking.candidates import Candidate
    from bench.picking.clock import ENDING, Clock
    from bench.picking.features import Extractor, Pictures
    from bench.planning.new_suite import open_own
    from bench.spec.recipe import Augment
    from bench.training.observer import Silent, Stopped

    dataset = open_own(photos)

    def candidates(is_over):
        for name in MODELS:
            card = find_card(name)
            yield Candidate(card, resolve_weights(card, "card", weights, download=False), len(CLASSES), 16)

    def race(milliseconds, seconds=60):
        monkeypatch.setattr(Extractor, "milliseconds", milliseconds)
        clock = Clock(seconds + ENDING, now=lambda: 0.0)
        return picking.pick(
            dataset, candidates, left_out, clock, input_size=16, device="cpu", precision="fp32",
            max_latency_ms=None, named=False, show=lambda *rest: None, note=lambda line: None,
            now=lambda: 0.0,
        )  # fmt: skip

    left_out: list[LeftOut] = []

    def of_each(extractor, batch, is_late):
        if extractor.candidate.name == MODELS[0]:
            assert batch == 1
            return 60_000 * picking.TIMING / picking.SLOW_IMAGES + 1
        if extractor.candidate.name == MODELS[1]:
            raise Stopped
        return float(batch)

    picked = race(of_each)
    batches = {name: one.batch for name, one in picked.entered.items()}
    assert batches == {MODELS[0]: 1, MODELS[2]: 8}
    assert [(one.card.name, one.reason) for one in left_out] == [(MODELS[1], "no time to time it")]
    slow = picked.entered[MODELS[0]]
    assert slow.images_per_s == pytest.approx(1000 / slow.latency_ms)

    with pytest.raises(InputError) as refused:  # a second an image, two seconds in all
        race(lambda extractor, batch, is_late: 1000.0 * batch, seconds=2)
    assert "--budget: 6 s are too little: timing and a first round on" in str(refused.value)

    monkeypatch.undo()
    extractor = Extractor(
        next(candidates(None)), Pictures(dataset, 16, "cpu", Augment(), Silent()), "fp32", Silent()
    )
    passes = []
    extractor.network.register_forward_hook(lambda *rest: passes.append(1))
    with pytest.raises(Stopped):
        extractor.milliseconds(1, lambda: len(passes) >= 2)
    assert len(passes) == 2
    passes.clear()
    extractor.milliseconds(1, lambda: False)
    assert len(passes) == 1 + features.PASSES


@pytest.mark.parametrize(("images", "tuned"), [(5, False), (6, True)])
def test_its_suite_searches_only_where_images_can_be_held_out(photos, tmp_path, images, tuned):
    """As `vcbench new` writes it: with fewer than two images of each of three classes it could not run."""
    from types import SimpleNamespace

    from bench.picking.length import SHORTEST
    from bench.picking.suite import write_pick_suite
    from bench.planning.new_suite import open_own

    dataset = open_own(photos)
    dataset.splits["train"] = dataset.splits["train"][:images]
    entered = {name: SimpleNamespace(candidate=SimpleNamespace(card=find_card(name))) for name in MODELS}
    picked = SimpleNamespace(dataset=dataset, entered=entered, input_size=16, precision="fp32")
    write_pick_suite(picked, f"folder:{photos}", list(MODELS), SHORTEST, tmp_path / "pick.toml")
    one = load_suite(str(tmp_path / "pick.toml")).comparison[0]
    assert (one.protocol == "tuned", one.search is not None) == (tuned, tuned)


def test_ctrl_c_before_there_is_an_answer(photos, weights, tmp_path, monkeypatch):
    from bench.cli.picking import Place, pick_backbone
    from bench.cli.progress import Ended, Stop

    monkeypatch.chdir(tmp_path)
    stop = Stop(60)
    stop.signal = 2
    with pytest.raises(Ended):
        pick_backbone(
            str(photos),
            Place(weights_dir=weights, device="cpu"),
            stop,
            models=MODELS,
            input_size=16,
            quiet=True,
        )


def test_groups_in_many_small_classes(vcbench, weights, tmp_path):
    """The first samples have two images of a class, fewer than there are folds."""
    random, rows = np.random.default_rng(1), []
    for label in range(30):
        for image in range(12):
            path = tmp_path / f"{label}-{image}.png"
            Image.fromarray(random.integers(0, 255, (16, 16, 3), dtype=np.uint8)).save(path)
            rows.append({"path": path.name, "label": f"c{label}", "group": f"{label}-{image // 2}"})
    pd.DataFrame(rows).to_csv(tmp_path / "t.csv", index=False)
    status, out, err = vcbench(
        "pick", str(tmp_path / "t.csv"), "--models", NAMES, "--input-size", "16", "--device", "cpu",
        "--weights-dir", str(weights), "--budget", "20s", "--json",
    )  # fmt: skip
    assert status == 0, err
    assert pd.DataFrame(json.loads(out)["table"])["sample"].max() > 60


def test_samples_have_the_shares_of_the_classes():
    from bench.data.subsets import draw_subset, growing_samples

    labels = np.array([0] * 900 + [1] * 90 + [2] * 10)
    small, large, whole = growing_samples("d", "s", labels, [100, 200, 1000])
    assert np.bincount(labels[small]).tolist() == [90, 9, 2]
    assert np.bincount(labels[large]).tolist() == [180, 18, 2]
    assert set(small) < set(large) < set(whole) and len(whole) == 1000
    even = np.arange(300) % 3
    (sample,) = growing_samples("d", "s", even, [30])
    assert np.array_equal(sample, draw_subset("d", "s", even, 10, 0))


def test_a_folder_that_is_not_there(pick, tmp_path):
    status, _, err = pick("--budget", "30s", data=tmp_path / "nowhere")
    assert status == 2 and "nowhere" in err


def test_the_default_pool_has_both_families_in_several_sizes():
    cards = default_pool()
    assert len(cards) >= 20
    for kind in ("cnn", "transformer"):
        own = [card for card in alternating(cards, 10, 224) if card.kind == kind]
        assert len(own) >= 7
    assert [card.kind for card in alternating(cards, 10, 224)[:4]] == ["cnn", "transformer"] * 2


def test_offline_those_take_part_whose_weights_are_here(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    left_out: list[LeftOut] = []
    found = find_candidates(
        [],
        tmp_path,
        classes=3,
        input_size=224,
        max_params=None,
        online=lambda: False,
        is_over=lambda: False,
        left_out=left_out,
    )
    assert list(found) == [] and {one.card.name for one in left_out} == {card.name for card in default_pool()}
    assert {one.reason for one in left_out} == {"no weights here, and the hub does not answer"}


def test_large_models_are_not_fetched_unasked(tmp_path, monkeypatch):
    asked = []

    def weights_of(card, requested, folder, *, download):
        from bench.errors import WeightsError

        if download:
            asked.append(card.name)
        raise WeightsError("not here")

    monkeypatch.setattr("bench.picking.candidates.resolve_weights", weights_of)
    left_out: list[LeftOut] = []
    find = find_candidates(
        [],
        tmp_path,
        classes=3,
        input_size=224,
        max_params=None,
        online=lambda: True,
        is_over=lambda: False,
        left_out=left_out,
    )
    assert list(find) == []
    assert (
        "resnet18" in asked and "vit_large_patch32_224" not in asked and "vit_base_patch16_224" not in asked
    )
    assert FETCHED == 30e6 and any("are large" in one.reason for one in left_out)


def test_nothing_is_fetched_when_the_time_for_it_is_over(weights, monkeypatch):
    left_out: list[LeftOut] = []
    entered = []
    find = find_candidates(
        MODELS,
        weights,
        classes=3,
        input_size=16,
        max_params=None,
        online=lambda: True,
        is_over=lambda: len(entered) >= 2,
        left_out=left_out,
    )
    for candidate in find:
        entered.append(candidate.name)
    assert len(entered) == 2 and [one.reason for one in left_out] == ["no time to time it"]


def test_an_unknown_model(tmp_path):
    with pytest.raises(InputError, match="resnet51"):
        list(
            find_candidates(
                ["resnet51"], tmp_path, classes=3, input_size=224, max_params=None,
                online=lambda: False, is_over=lambda: False, left_out=[],
            )
        )  # fmt: skip


def test_real_images_and_weights(vcbench, real_data, tmp_path):
    """On the real data the table says what the linear-probe recipe says of the same images."""
    from bench.data import open_dataset

    status, out, err = vcbench(
        "pick", "flowers102", "--budget", "10m", "--data-dir", str(real_data), "--device", "cpu",
        "--input-size", "64", "--models", "tf_efficientnet_lite0,deit_tiny_patch16_224_lnq", "--json",
    )  # fmt: skip
    assert status == 0, err
    table = pd.DataFrame(json.loads(out)["table"])
    assert open_dataset("flowers102", None, real_data).counts()["train"] == 1020
    row = table.set_index("model").loc["tf_efficientnet_lite0"]
    assert row["sample"] == 1020 and row["unseen"] == 1020
    # Held out once each and fitted to four fifths, against val and fitted to all: within a few points.
    assert row["cv_top1"] - 0.03 < row["top1"] < row["cv_top1"] + 0.12
    assert row["top1"] > 0.3


def test_what_fine_tuning_came_to_is_that_of_the_table_of_accuracies(tmp_path):
    """Of the suite's own trials alone, whatever else the store holds."""
    rng = np.random.default_rng(1)
    root = write_store(
        tmp_path / "store", {(model, None): rng.random((3, 40)) < 0.5 for model in ("vit", "resnet")}
    )
    write_store(root, {("vit", 5): rng.random((2, 40)) < 0.9}, suite="other")
    table = build_tables(RunStore(root))["accuracy"]
    own = table[table["suite"] == "small"].groupby(["recipe", "model"])[["val_top1", "top1"]].mean()
    found = trained_by(root, Path("small.toml"))
    assert len(found) == len(own) == 2
    for key, row in own.iterrows():
        assert (found[key].val, found[key].top1) == pytest.approx(tuple(row))
        first = table[(table["suite"] == "small") & (table["model"] == key[1])].iloc[0]
        assert found[key].correct.mean() == pytest.approx(first["top1"])


def test_after_training_the_whole_answer_is_by_what_was_trained(photos, weights, tmp_path, monkeypatch):
    """Winner, those not told apart, cost and the other family: not those of the race any more."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("bench.picking.suite.LENGTHS", ())
    answer = api.pick(
        photos, "60s", models=MODELS, input_size=16, device="cpu", weights_dir=weights, progress=False
    )
    picked = answer.picked
    first, title = picked.best, {name: one.candidate.card.title for name, one in picked.entered.items()}
    kinds = {name: one.kind for name, one in picked.entered.items()}
    second = next(name for name in picked.survivors if kinds[name] != kinds[first])
    tests = len(picked.dataset.splits["test"])

    def right(count):
        return np.arange(tests) < count

    def trained(**counts):
        """By recipe and model, right on so many test images; on val the same share."""
        made = {("finetune", first): counts["a"], ("finetune", second): counts["b"]}
        made |= {("linear-probe", first): 1, ("linear-probe", second): 2}
        return {
            key: Trained(counts.get("val", count / tests), count / tests, right(count))
            for key, count in made.items()
        }

    take, cost, family = sentences(picked, trained(a=20, b=60))
    assert take.startswith(
        f"Take {title[second]} fine-tuned, which is the best on val: trained on all images"
    )
    assert f"right on {100 * 60 / tests:.1f} % of {tests} test images" in take
    assert f"{title[first]} fine-tuned ({100 * 20 / tests:.1f} %)" in take.split("told apart from it: ")[1]
    params = picked.entered[second].candidate.parameters
    assert cost.startswith(f"{title[second]} has {params / 1e6:.1f} million parameters")
    assert title[first] not in cost  # it is told apart, so that its speed is no reason
    assert family.endswith(f"{title[first]} fine-tuned, is {100 * 40 / tests:.1f} points behind.")

    take, _, family = sentences(picked, trained(a=59, b=60))
    assert f"is the best on val, but is not told apart from {title[first]} fine-tuned" in take
    assert family.endswith("which may be chance.")

    # Without val nothing is chosen by the test split: the first of the race stays.
    take, cost, _ = sentences(picked, trained(a=20, b=60, val=float("nan")))
    assert f"{title[first]} fine-tuned" in take.split(":")[0] and "came first in the race" in take
    assert cost.startswith(title[first])

    # Without judgement the words say what is wrong with the number.
    for one in picked.entered.values():
        one.judged = None
    picked.val = np.empty(0, np.int64)
    assert "231 training images, each held out once, a little too good" in sentences(picked, {})[0]

    # Of the other kind none was trained.
    alone = {key: one for key, one in trained(a=20, b=60).items() if key[1] == first}
    *_, family = sentences(picked, alone)
    assert title[second] in family and family.endswith("on frozen features; it was not trained.")
