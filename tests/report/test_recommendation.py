"""The recommendation: each rule on a small store whose numbers are known, and read as a reader does."""

import json
from dataclasses import replace

import numpy as np
import pytest
from report.make_regimes import plant
from report.make_store import NETWORKS, make_store

from bench.report.advice import advise
from bench.report.blocks import Table
from bench.report.data_sets import data_sets
from bench.report.evidence import gather
from bench.report.leads import rivals
from bench.report.recommendation import answer, unfinished
from bench.report.sections.answer import answer as answer_section
from bench.report.sections.answer import group_letters
from bench.report.sections.contrasts import contrast_tables
from bench.report.style import house_style
from bench.store.run_store import RunStore

SPREAD = np.array([-1, 0, 1, 0]) / 120
"""Of four replicates, in whole images of the 120 for testing."""


def around(mean):
    return [round(mean * 120) / 120 + spread for spread in SPREAD]


@pytest.fixture
def planted(tmp_path, monkeypatch):
    """Evidence of a store with these mean accuracies by comparison, contestant and images per class."""

    def made(means, replicates=4, **options):
        top1 = {
            key: {size: around(mean)[:replicates] for size, mean in sizes.items()}
            for key, sizes in means.items()
        }
        return gather(RunStore(plant(tmp_path, top1, monkeypatch, **options)), "tiny")

    return made


def test_the_same_network_ahead_at_every_size(planted):
    evidence = planted({("probe", "deit"): {1: 0.30, 5: 0.40}, ("probe", "resnet"): {1: 0.50, 5: 0.80}})
    first, _ = answer(evidence).split("\n\n")
    assert first.startswith("On digits, take ResNet-18 with 1 to 5 images per class. By linear probe, ")
    assert "ResNet-18 is ahead of DeiT-Ti/4 by 20.0 points with 1 image per class (95 % interval " in first
    assert " and by 40.0 points with 5 images per class (95 % interval " in first
    assert "not decided" not in first


def test_a_lead_that_changes_says_from_where_to_where(planted):
    deit, resnet = {1: 0.50, 2: 0.50, 5: 0.50, 20: 0.50}, {1: 0.20, 2: 0.20, 5: 0.50, 20: 0.80}
    first, _ = answer(planted({("probe", "deit"): deit, ("probe", "resnet"): resnet})).split("\n\n")
    assert first.startswith(
        "On digits, take DeiT-Ti/4 with 1 to 2 images per class; either of the two with 5 (no clear "
        "difference); ResNet-18 with 20. By linear probe, DeiT-Ti/4 is ahead of ResNet-18 by 30.0 points"
        " with 1 image per class ("
    )
    assert "; with 20 images per class, ResNet-18 is ahead by 30.0 points (95 % interval " in first


def test_the_size_is_the_largest_and_not_the_clearest(planted):
    """Decided with 1 image per class, a tie with 5: the sentence ends with the tie."""
    means = {("probe", "deit"): {1: 0.20, 5: 0.60}, ("probe", "resnet"): {1: 0.70, 5: 0.60}}
    first, _ = answer(planted(means)).split("\n\n")
    assert "; with 5 images per class, they are equally accurate (95 % interval" in first
    assert first.startswith("On digits, take ResNet-18 with 1 image per class; DeiT-Ti/4 or ResNet-18 with 5")


def test_two_regimes_are_reconciled(planted):
    """The numbers of the review: the CNN ahead frozen, the ViT fine-tuned, and 4.2 best of each."""
    means = {
        ("probe", "deit"): {1: 0.3, 5: 0.675},
        ("probe", "resnet"): {1: 0.5, 5: 0.75},
        ("tuned", "deit"): {1: 0.2, 5: 0.79167},
        ("tuned", "resnet"): {1: 0.3, 5: 0.71667},
    }
    first, limits = answer(planted(means)).split("\n\n")
    assert first.startswith("On digits, take ResNet-18 by linear probe with 1 image per class")
    assert "; DeiT-Ti/4 fine-tuned with 5 (" in first
    assert " With 5 images per class: by linear probe, ResNet-18 is ahead of DeiT-Ti/4 by 7.5 " in first
    assert "; fine-tuned, DeiT-Ti/4 is ahead of ResNet-18 by 7.5 points (95 % interval " in first
    assert (
        "Comparing the best of each, DeiT-Ti/4 fine-tuned (79.2 %) is ahead of ResNet-18 by linear "
        "probe (75.0 %) by 4.2 points (95 % interval "
    ) in first
    assert "that is no verdict, as the same accuracies chose the ways of training." in first
    assert "Fine-tuned, ResNet-18 falls 3.3 points below its own frozen features" in first
    assert "the recipe was not searched for each network (fine-tuned)" in limits


def test_a_size_that_one_regime_lacks_gives_no_headline(planted):
    """The probe alone was measured with 20 images per class, where the CNN leads: the headline stays at 5."""
    means = {
        ("probe", "deit"): {5: 0.50, 20: 0.50},
        ("probe", "resnet"): {5: 0.60, 20: 0.70},
        ("tuned", "deit"): {5: 0.80},
        ("tuned", "resnet"): {5: 0.60},
    }
    evidence = planted(means)
    assert answer(evidence).startswith("On digits, take DeiT-Ti/4 fine-tuned with 5 images per class")
    assert " Other numbers of images were measured in fewer ways; the chooser has them.\n" in answer(evidence)
    (data,) = data_sets(evidence)
    said = " ".join(advise(evidence, data, 20).sentences())
    assert "Take ResNet-18 by linear probe with 20 images per class." in said
    assert "Not measured with so many images: fine-tuned." in said


def test_an_exploratory_difference_is_no_verdict(planted):
    means = {("probe", "deit"): {5: 0.30}, ("probe", "resnet"): {5: 0.80}}
    first, _ = answer(planted(means, primary=False)).split("\n\n")
    assert first.startswith("On digits, take ResNet-18 with 5 images per class (likely, not decided). ")
    assert "; exploratory)" in first


def test_a_stated_difference_that_no_contrast_declares_has_a_row(planted):
    """The best ViT is in no contrast: the appendix has the numbers that the answer states, and their runs."""
    means = {
        ("probe", "deit"): {1: 0.30, 5: 0.40},
        ("probe", "resnet"): {1: 0.50, 5: 0.60},
        ("probe", "vit"): {1: 0.20, 5: 0.90},
    }
    evidence = planted(means)
    first, _ = answer(evidence).split("\n\n")
    (table,) = [one for one in contrast_tables(evidence).blocks if one.name == "undeclared"]
    rows = [[field.text for field in row] for row in table.rows]
    assert [row[:4] for row in rows] == [
        ["digits", "1", "ResNet-18 against ViT-Ti/4", "+30.0"],
        ["digits", "5", "ViT-Ti/4 against ResNet-18", "+30.0"],
    ]
    for row, words in zip(rows, ("ResNet-18 is ahead of ViT-Ti/4 by", "ViT-Ti/4 is ahead by"), strict=True):
        low, high = row[4].replace("+", "").split(" to ")
        assert words in first
        assert f" (95 % interval {low} to {high}; exploratory)" in first
    assert {*table.runs} == {run for cell in evidence.cells if cell.contestant != "deit" for run in cell.runs}


def test_declared_contrasts_are_not_told_twice(planted):
    evidence = planted({("probe", "deit"): {1: 0.30, 5: 0.40}, ("probe", "resnet"): {1: 0.50, 5: 0.80}})
    assert "undeclared" not in [one.name for one in contrast_tables(evidence).blocks]


def test_too_few_runs_to_tell(planted):
    means = {("probe", "deit"): {5: 0.30}, ("probe", "resnet"): {5: 0.80}}
    first, _ = answer(planted(means, replicates=2)).split("\n\n")
    assert first.startswith("On digits, take ResNet-18 with 5 images per class (too few runs to tell). ")
    assert "by 50.0 points with 5 images per class (2 replicates of each, too few for an interval)" in first


def test_networks_that_were_not_trained_support_no_sentence(tmp_path):
    """The ResNet is best on paper; its loss never left chance."""
    untrained = (("resnet", 5), ("resnet", 20))
    evidence = gather(RunStore(make_store(tmp_path, shots=(5, 20), untrained=untrained)), "tiny")
    first, limits = answer(evidence).split("\n\n")
    assert "ResNet" not in first
    assert limits.endswith(
        "Left out where different networks are compared: ResNet-18 with 5 and 20 images per class, training "
        "loss at chance."
    )
    every = tuple((name, 5) for name in NETWORKS)
    evidence = gather(RunStore(make_store(tmp_path / "none", shots=(5,), untrained=every)), "tiny")
    assert answer(evidence).startswith(
        "On digits, take none with 5 images per class (no network was trained)."
    )


def test_the_rival_is_of_the_other_kind(tmp_path):
    """The DeiT is above the plain ViT: the ResNet is set against the DeiT, and without it against the ViT."""
    evidence = gather(RunStore(make_store(tmp_path, shots=(20,))), "tiny")
    assert [cell.contestant for cell in rivals(evidence.cells)] == ["resnet", "deit"]
    without = [cell for cell in evidence.cells if cell.contestant != "deit"]
    assert [cell.contestant for cell in rivals(without)] == ["resnet", "vit"]
    of_one_kind = [cell for cell in evidence.cells if cell.contestant != "resnet"]
    assert [cell.contestant for cell in rivals(of_one_kind)] == ["deit", "vit"]
    assert rivals(of_one_kind[:1]) is None


def test_two_trainings_of_one_network(tmp_path):
    evidence = gather(
        RunStore(make_store(tmp_path, shots=(5,), comparison={"contrasts": [["deit", "vit"]]})), "tiny"
    )
    second = answer(evidence).split("\n\n")[1]
    assert second.startswith("The same network, trained differently: DeiT-Ti/4 is ahead of ViT-Ti/4 by ")


def test_nothing_measured_recommends_nothing(tmp_path):
    missing = tuple((name, 5, replicate) for name in NETWORKS for replicate in range(3))
    evidence = gather(RunStore(make_store(tmp_path, shots=(5,), missing=missing)), "tiny")
    assert answer(evidence) == "Nothing was measured yet, so nothing is recommended."


def test_the_same_trials_in_two_comparisons_are_one_regime(tmp_path):
    make_store(tmp_path, shots=(5, 20))
    path = tmp_path / "suites" / "tiny.json"
    listing = json.loads(path.read_text())
    listing["comparisons"].append(listing["comparisons"][0] | {"name": "again"})
    listing["trials"] += [e | {"comparison": "again"} for e in listing["trials"] if e["shots"] == 5]
    path.write_text(json.dumps(listing))
    (data,) = data_sets(gather(RunStore(tmp_path), "tiny"))
    assert [regime.comparison.name for regime in data.regimes] == ["from-scratch"]


@pytest.mark.parametrize(
    ("resnet", "primary", "replicates", "letters"),
    [
        (0.30, True, 4, {"deit": "a", "resnet": "a"}),
        (0.80, True, 4, {}),  # told apart
        (0.30, False, 4, {}),  # an exploratory contrast
        (0.30, True, 2, {}),  # too few replicates for a verdict
    ],
)
def test_a_letter_is_shared_where_a_primary_contrast_told_nothing_apart(
    planted, resnet, primary, replicates, letters
):
    """The ViT is in no contrast, whatever its accuracy."""
    means = {("probe", "deit"): {5: 0.30}, ("probe", "resnet"): {5: resnet}, ("probe", "vit"): {5: 0.30}}
    evidence = planted(means, primary=primary, replicates=replicates)
    assert group_letters(evidence, evidence.cells) == letters
    with house_style():
        (table,) = [block for block in answer_section(evidence).blocks if isinstance(block, Table)]
    titles = [column.title for column in table.columns]
    assert ("Group" in titles) == ("share a letter" in table.caption) == bool(letters)
    if letters:
        models = [row[titles.index("Model")].text for row in table.rows]
        group = [row[titles.index("Group")].text for row in table.rows]
        assert dict(zip(models, group, strict=True)) == {"DeiT-Ti/4": "a", "ResNet-18": "a", "ViT-Ti/4": "–"}


def test_two_that_were_not_compared_share_no_letter(planted):
    evidence = planted(
        {("probe", "deit"): {5: 0.50}, ("probe", "resnet"): {5: 0.50}, ("probe", "vit"): {5: 0.50}}
    )
    (suite,) = evidence.suite.comparisons
    both = suite.model_copy(update={"contrasts": [["deit", "resnet"], ["deit", "vit"]]})
    evidence = replace(evidence, suite=evidence.suite.model_copy(update={"comparisons": [both]}))
    cells = sorted(evidence.cells, key=lambda cell: ["resnet", "deit", "vit"].index(cell.contestant))
    assert group_letters(evidence, cells) == {"resnet": "a", "deit": "ab", "vit": "b"}


def test_what_is_not_finished_is_said_first(planted):
    every = {("probe", "deit"): {5: 0.30}, ("probe", "resnet"): {5: 0.80}, ("probe", "vit"): {5: 0.3}}
    evidence = planted(every | {("tuned", "deit"): {5: 0.80}, ("tuned", "resnet"): {5: 0.70}})
    with house_style():
        first = answer_section(evidence).blocks[0]
    assert first.lead == "Not finished:"
    assert first.text == "fine-tuning on digits (4 of 12 trials are missing)."
    assert unfinished(planted(every)) is None
