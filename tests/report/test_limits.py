"""What a page cannot tell: contrasts that are not decided, and those that wait for trials."""

from types import SimpleNamespace

import pytest

from bench.report.sections.limits import _undecided

SO_FAR = "primary contrasts measured so far"


@pytest.mark.parametrize(
    ("undecided", "measured", "waiting", "said"),
    [
        (1, 1, 0, "the primary contrast is not decided"),
        (4, 6, 0, "4 of 6 primary contrasts are not decided"),
        (
            4,
            17,
            4,
            "4 of the 17 primary contrasts measured so far are not decided; 4 more wait for fine-tuning",
        ),
        (
            1,
            3,
            1,
            "1 of the 3 primary contrasts measured so far is not decided; 1 more waits for fine-tuning",
        ),
    ],
)
def test_contrasts_that_wait_for_trials_are_told_apart(undecided, measured, waiting, said):
    pair = SimpleNamespace(comparison="tuned", primary=True)
    findings = [SimpleNamespace(pair=pair, result=None)] * waiting
    findings += [SimpleNamespace(pair=pair, result="a contrast")] * measured
    comparisons = [SimpleNamespace(name="tuned", recipe="finetune")]
    evidence = SimpleNamespace(findings=findings, suite=SimpleNamespace(comparisons=comparisons))
    assert _undecided(evidence, undecided, measured) == said
