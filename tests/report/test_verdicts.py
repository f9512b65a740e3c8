"""What the report says of contrasts: sentences, table and forest plot."""

from dataclasses import replace

import pandas as pd
import pytest
from report.make_store import NETWORKS, make_store, run_id, true_top1

from bench.analysis.statistics import Contrast
from bench.report.evidence import gather
from bench.report.render import render
from bench.report.sections.answer import answer
from bench.report.text import MINUS, interval, points
from bench.report.verdicts import sentence
from bench.store import RunStore

EVERYTHING = tuple((name, n, r) for name in NETWORKS for n in (1, 5, 20, None) for r in range(3))


def made(root, **changes):
    return gather(RunStore(make_store(root, **changes)), "tiny")


def claims(evidence):
    return answer(evidence).blocks[0].claims


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (-0.021, 0.034, "-2.1 to +3.4"),
        (0.0004, 0.034, "+0.04 to +3.40"),
        (-0.02, -0.00004, "-2.000 to -0.004"),
        (0.0, 0.034, "0.0 to +3.4"),
        (-1e-7, 0.5, "0.000 to +50.000"),
    ],
)
def test_an_end_that_is_not_0_does_not_look_like_it(low, high, words):
    assert interval(low, high) == words.replace("-", MINUS)


def test_the_answer_names_the_largest_decided_size_with_its_interval(tmp_path):
    (claim,) = claims(made(tmp_path))
    result = made(tmp_path).findings[3].result
    gap = true_mean("deit", None) - true_mean("resnet", None)
    assert claim.verdict == "worse" and result.verdict == "worse"
    assert claim.text.startswith(
        "DeiT-Ti/4 is worse than ResNet-18 in from-scratch "
        "with the whole training split (80 images per class), "
        f"by {-100 * gap:.1f} points (simultaneous 95 % interval "
        f"{MINUS}{-100 * result.low:.1f} to {MINUS}{-100 * result.high:.1f}); "
        "at other sizes, DeiT-Ti/4 against ResNet-18: "
    )
    assert claim.text.endswith(".") and ". " not in claim.text
    assert "FLOPs not measured" in claim.notes


def true_mean(name, shots):
    return sum(true_top1(name, shots, r) for r in range(3)) / 3


def test_too_few_replicates_give_means_and_no_verdict(tmp_path):
    (claim,) = claims(made(tmp_path, replicates=2, shots=(5,)))
    means = [100 * (true_top1(name, 5, 0) + true_top1(name, 5, 1)) / 2 for name in ("deit", "resnet")]
    assert claim.verdict == "no verdict"
    assert claim.text == (
        "No verdict can be given on DeiT-Ti/4 against ResNet-18 in from-scratch with 5 images per class: "
        f"2 replicates of each; the means are {means[0]:.1f} % and {means[1]:.1f} %."
    )


def test_what_was_not_measured_is_said(tmp_path):
    (claim,) = claims(made(tmp_path, missing=EVERYTHING))
    assert claim.verdict == "not measured" and claim.text == (
        "DeiT-Ti/4 against ResNet-18 in from-scratch: not measured at any size."
    )


def test_no_primary_contrast_claims_nothing(tmp_path):
    blocks = answer(made(tmp_path, comparison={"contrasts": []})).blocks
    assert "declares no primary contrast" in blocks[0].text
    blocks = answer(made(tmp_path, comparison={"contrasts": [], "exploratory": []})).blocks
    assert "declares no primary contrast" in blocks[0].text


def test_at_most_five_sentences(tmp_path):
    pairs = [[a, b] for a in NETWORKS for b in NETWORKS if a != b]
    section = answer(made(tmp_path, shots=(5,), comparison={"contrasts": pairs}))
    assert len(section.blocks[0].claims) == 5
    assert "1 more primary contrast stands in" in section.blocks[1].text


def test_the_answer_does_not_favour_the_model_that_is_named_first(tmp_path):
    """Six decided pairs: which one is left out follows their order, not who is ahead."""
    pairs = [[a, b] for a in NETWORKS for b in NETWORKS if a != b]
    evidence = made(tmp_path, shots=(5,), comparison={"contrasts": pairs})
    sides = ("worse", "better", "better", "worse", "equivalent", "worse")
    evidence.findings[:] = [
        replace(f, result=replace(f.result, verdict=side))
        for f, side in zip(evidence.findings, [*sides, "none", "none"], strict=False)
    ]
    assert [claim.verdict for claim in claims(evidence)] == list(sides[:5])


@pytest.mark.parametrize(
    "verdict, ends, words",
    [
        ("better", (0.01, 0.05), "DeiT-Ti/4 is better than ResNet-18 in from-scratch with 5"),
        ("equivalent", (-0.005, 0.005), "are equivalent in from-scratch with 5 images per class: "),
        ("inconclusive", (-0.05, 0.05), "is inconclusive in from-scratch with 5 images per class: "),
    ],
)
def test_a_sentence_for_every_verdict(tmp_path, verdict, ends, words):
    finding = made(tmp_path, shots=(5,)).findings[0]
    result = Contrast(0.03, *ends, 0.05, 0.01, 3, 120, verdict, 0.01, 0.05, 1)
    text = sentence(replace(finding, result=result))
    assert words in text and interval(*ends) in text


def test_the_table_and_the_files_of_the_figure(tmp_path):
    make_store(tmp_path / "store", missing=(("vit", 5, 1),))
    render(RunStore(tmp_path / "store"), "tiny", tmp_path / "out")
    markdown = (tmp_path / "out" / "report.md").read_text()
    row = next(line for line in markdown.splitlines() if line.startswith("| 5 | ViT-Ti/4 against"))
    assert "| none | no verdict | 2 of 3 | 2 common replicates: no interval, no verdict" in row
    data = pd.read_csv(tmp_path / "out" / "figures" / "forest-from-scratch.csv")
    assert len(data) == 8 and data["low"].isna().sum() == 1
    assert run_id("tiny", "deit", 20, 0) in markdown


@pytest.mark.parametrize(
    "value, text", [(0.1234, "+12.3"), (-0.05, f"{MINUS}5.0"), (-0.0001, "0.0"), (None, "not measured")]
)
def test_points(value, text):
    assert points(value) == text
