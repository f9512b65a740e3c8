"""What the report says of contrasts: sentences, table and forest plot."""

from dataclasses import replace

import pandas as pd
import pytest
from report.make_store import NETWORKS, make_store, run_id, true_top1

from bench.analysis.statistics import Contrast, Needs
from bench.exchange.cite import citation
from bench.report.chooser import chooser
from bench.report.evidence import gather
from bench.report.render import render
from bench.report.sections.answer import answer, both_regimes
from bench.report.text import MINUS, interval, points
from bench.report.verdicts import conclusion, statement, verdict, what_would_decide
from bench.store.run_store import RunStore

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


def true_mean(name, shots):
    return sum(true_top1(name, shots, r) for r in range(3)) / 3


def signed(value):
    return f"{100 * value:+.1f}".replace("-", MINUS)


def test_the_answer_begins_with_all_images_whatever_came_out(tmp_path):
    evidence = made(tmp_path)
    (claim,) = claims(evidence)
    result = evidence.findings[3].result
    a, b = (true_mean(name, None) for name in ("deit", "resnet"))
    assert claim.verdict == "worse" and result.verdict == "worse"
    assert claim.text.startswith(
        "On digits, from random weights, trained on all training images (80 per class), DeiT-Ti/4 reaches "
        f"{100 * a:.1f} % and ResNet-18 {100 * b:.1f} %: {signed(a - b)} points (95 % interval "
        f"{signed(result.low)} to {signed(result.high)}); ResNet-18 is better. "
        f"At other sizes, images per class: 20: {100 * true_mean('deit', 20):.1f} against "
    )
    assert [claim.text.index(f"{n}: ") for n in (20, 5, 1)] == sorted(
        claim.text.index(f"{n}: ") for n in (20, 5, 1)
    )
    assert "FLOPs not measured" in claim.notes and "from-scratch" not in claim.text


def test_a_tie_on_all_images_is_the_headline_although_fewer_are_decided(tmp_path):
    """The verdicts of the sizes change; the size that comes first does not."""
    evidence = made(tmp_path)
    evidence.findings[3] = replace(
        evidence.findings[3],
        result=replace(
            evidence.findings[3].result,
            estimate=0.001,
            low=-0.02,
            high=0.022,
            verdict="inconclusive",
            needs=Needs(replicates=9),
        ),
    )
    (claim,) = claims(evidence)
    assert claim.verdict == "inconclusive" and "all training images" in claim.text
    first, rest = claim.text.split(" At other sizes, ")
    assert "not decided. If the difference is as it was measured, about 9 replicates instead of 3" in first
    assert "ResNet-18 is better" in rest


@pytest.mark.parametrize(
    ("needs", "only_images", "words"),
    [
        (Needs(images=40_000), False, "More replicates alone would not decide it; it would take about 40"),
        (Needs(images=40_000), True, "If the difference is as it was measured, deciding it would take about"),
        (Needs(), False, "Neither a hundred replicates nor a hundred times as many test images"),
        (None, False, ""),
    ],
)
def test_what_would_decide(tmp_path, needs, only_images, words):
    finding = made(tmp_path, shots=(5,)).findings[0]
    result = replace(finding.result, verdict="inconclusive", needs=needs, images_only=only_images)
    found = what_would_decide(replace(finding, result=result))
    assert found.startswith(words) and bool(found) == bool(words)


def test_an_interval_without_0_that_is_no_verdict_says_why(tmp_path):
    finding = made(tmp_path, shots=(5,)).findings[0]
    result = replace(finding.result, low=0.01, high=0.2, verdict="inconclusive", comparisons=14)
    words = conclusion(replace(finding, result=result))
    assert words == "not decided: the interval leaves out 0, but that is no verdict among 14 comparisons"


def test_too_few_replicates_give_means_and_no_verdict(tmp_path):
    (claim,) = claims(made(tmp_path, replicates=2, shots=(5,)))
    a, b = ((true_top1(name, 5, 0) + true_top1(name, 5, 1)) / 2 for name in ("deit", "resnet"))
    assert claim.verdict == "no verdict"
    assert claim.text == (
        "On digits, from random weights, trained on 5 images per class, DeiT-Ti/4 reaches "
        f"{100 * a:.1f} % and ResNet-18 {100 * b:.1f} %: {signed(a - b)} points; 2 replicates of each are "
        "too "
        "few for an interval or a verdict."
    )


def test_what_was_not_measured_is_said(tmp_path):
    (claim,) = claims(made(tmp_path, missing=EVERYTHING))
    assert claim.verdict == "not measured" and claim.text == (
        "On digits, from random weights: DeiT-Ti/4 against ResNet-18 is not measured at any size."
    )


def test_two_ways_of_training_on_one_dataset_are_told_in_one_sentence(tmp_path):
    evidence = made(tmp_path, shots=(5,))
    (first,) = evidence.suite.comparisons
    both = [{"recipe": "linear-probe"}, {"name": "tuned", "recipe": "finetune"}]
    comparisons = [first.model_copy(update=changes) for changes in both]
    evidence = replace(evidence, suite=evidence.suite.model_copy(update={"comparisons": comparisons}))
    head = replace(evidence.findings[0], accuracy=(0.690, 0.746))
    other = replace(head, pair=replace(head.pair, comparison="tuned"), accuracy=(0.789, 0.718))
    (said,) = both_regimes(evidence, [[head], [other]])
    assert said == (
        "On digits, trained on 5 images per class: as frozen features, DeiT-Ti/4 69.0 % and ResNet-18 74.6 "
        "%; "
        "fine-tuned, DeiT-Ti/4 78.9 % and ResNet-18 71.8 %. The best of each is DeiT-Ti/4 fine-tuned (78.9 "
        "%) "
        "and ResNet-18 as frozen features (74.6 %), +4.3 points apart. That is no verdict: which way is "
        "best was chosen by these same accuracies, and the two differ in more than the architecture."
    )
    assert both_regimes(evidence, [[head]]) == []
    assert both_regimes(evidence, [[head], [replace(other, untrained=("ResNet-18: why",))]]) == []


def test_page_chooser_and_citation_say_the_same(tmp_path):
    store = RunStore(make_store(tmp_path))
    evidence = gather(store, "tiny")
    (claim,) = claims(evidence)
    said = statement(evidence.findings[3])
    assert said in claim.text and said in citation(store, "tiny").sentences[0]
    chosen = chooser(evidence)[0].data
    assert chosen["start"] == "80"
    (words,) = [
        c["text"] for c in chosen["comparisons"][0]["contrasts"] if (c["size"], c["a"]) == (80, "deit")
    ]
    assert said.split(": ", 1)[1].split("; ")[0] in words and conclusion(evidence.findings[3]) in words


def test_no_primary_contrast_claims_nothing(tmp_path):
    blocks = answer(made(tmp_path, comparison={"contrasts": []})).blocks
    assert "declares no primary contrast" in blocks[0].text
    blocks = answer(made(tmp_path, comparison={"contrasts": [], "exploratory": []})).blocks
    assert "declares no primary contrast" in blocks[0].text


def test_at_most_five_paragraphs_in_the_order_of_the_suite(tmp_path):
    """Not those that are decided, nor those in which the first model is ahead."""
    pairs = [[a, b] for a in NETWORKS for b in NETWORKS if a != b]
    evidence = made(tmp_path, shots=(5,), comparison={"contrasts": pairs})
    section = answer(evidence)
    assert [claim.verdict for claim in section.blocks[0].claims] == [
        verdict(finding) for finding in evidence.findings[:5]
    ]
    assert "1 more primary contrast stands in" in section.blocks[1].text


@pytest.mark.parametrize(
    "word, ends, words",
    [
        ("better", (0.01, 0.05), "; DeiT-Ti/4 is better"),
        ("worse", (-0.05, -0.01), "; ResNet-18 is better"),
        ("equivalent", (-0.005, 0.005), "; the two are equivalent within ±1.0 points"),
        ("inconclusive", (-0.05, 0.05), "; not decided"),
    ],
)
def test_a_statement_for_every_verdict(tmp_path, word, ends, words):
    finding = made(tmp_path, shots=(5,)).findings[0]
    result = Contrast(0.03, *ends, 0.05, 0.01, 3, 120, verdict=word, delta=0.01, alpha=0.05)
    text = statement(replace(finding, result=result))
    assert text.endswith(words) and f"+3.0 points (95 % interval {interval(*ends)})" in text


def test_an_exploratory_contrast_has_no_verdict_word(tmp_path):
    evidence = made(tmp_path)
    found = [f for f in evidence.findings if not f.pair.primary]
    assert {verdict(f) for f in found} == {"exploratory"}
    assert all(f.has_interval and "nothing is claimed" in conclusion(f) for f in found)


def test_the_table_and_the_files_of_the_figure(tmp_path):
    make_store(tmp_path / "store", missing=(("vit", 5, 1),))
    render(RunStore(tmp_path / "store"), "tiny", tmp_path / "out")
    markdown = (tmp_path / "out" / "report.md").read_text()
    row = next(line for line in markdown.splitlines() if line.startswith("| 5 | ViT-Ti/4 against"))
    assert "| none | exploratory | 2 of 3 | 2 common replicates: no interval" in row
    data = pd.read_csv(tmp_path / "out" / "figures" / "forest-from-scratch.csv")
    assert len(data) == 8 and data["low"].isna().sum() == 1
    assert run_id("tiny", "deit", 20, 0) in markdown


@pytest.mark.parametrize(
    "value, text", [(0.1234, "+12.3"), (-0.05, f"{MINUS}5.0"), (-0.0001, "0.0"), (None, "not measured")]
)
def test_points(value, text):
    assert points(value) == text
