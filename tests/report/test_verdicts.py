"""What the report says of contrasts: sentences, table and forest plot."""

from dataclasses import replace
from types import SimpleNamespace

import pandas as pd
import pytest
from report.make_store import make_store, run_id

from bench.analysis.statistics import Contrast, Needs
from bench.exchange.sentences import conclusion, statement
from bench.report.blocks import Figure, walk
from bench.report.evidence import gather
from bench.report.render import render
from bench.report.sections.contrasts import contrasts
from bench.report.text import MINUS, interval, points
from bench.report.verdicts import verdict, what_would_decide
from bench.store.run_store import RunStore


def made(root, **changes):
    return gather(RunStore(make_store(root, **changes)), "tiny")


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


@pytest.mark.parametrize(
    ("needs", "only_images", "words"),
    [
        (
            Needs(images=40_000, equivalent=True),
            False,
            "More replicates alone would not decide it. If the difference is as it was measured, about "
            "40\u202f000 test images instead of 120 would show that they differ by less than 1.0 points.",
        ),
        (
            Needs(images=40_000),
            True,
            "If the difference is as it was measured, about 40\u202f000 test images",
        ),
        (
            Needs(replicates=9),
            False,
            "If the difference is as it was measured, about 9 replicates instead of",
        ),
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
    markdown = (tmp_path / "out" / "appendix.md").read_text()
    row = next(line for line in markdown.splitlines() if line.startswith("| 5 | ViT-Ti/4 against"))
    assert "| none | exploratory | 2 of 3 | 2 common replicates: no interval" in row
    data = pd.read_csv(tmp_path / "out" / "figures" / "forest-from-scratch.csv")
    assert len(data) == 8 and data["low"].isna().sum() == 1
    assert run_id("tiny", "deit", 20, 0) in markdown


def test_runs_that_are_there_under_other_conditions_are_contrasted_once(tmp_path):
    evidence = made(tmp_path)
    exploratory = [finding for finding in evidence.findings if not finding.pair.primary]
    name = exploratory[0].pair.comparison

    def shown(**changes):
        again = [
            replace(one, pair=replace(one.pair, comparison="disturbed"), **changes) for one in exploratory
        ]
        findings = [*evidence.findings, *again]
        beside = SimpleNamespace(findings=findings, suite=evidence.suite, styles=evidence.styles)
        return [block.name for block in walk(contrasts(beside).blocks) if isinstance(block, Figure)]

    assert shown() == [f"forest-{name}"]
    assert shown(runs_a=("other",)) == [f"forest-{name}", "forest-disturbed"]


@pytest.mark.parametrize(
    "value, text", [(0.1234, "+12.3"), (-0.05, f"{MINUS}5.0"), (-0.0001, "0.0"), (None, "not measured")]
)
def test_points(value, text):
    assert points(value) == text
