"""Verdicts and numbers of claims in words, the same on the page, in tables and on the command line."""

from bench.analysis.claims.estimate import Estimate
from bench.analysis.claims.verdict import Judged
from bench.analysis.names import dataset_title

NOUNS = {
    "evidence": "what is measured",
    "regime": "how it is trained",
    "pretraining": "the pretraining data",
    "dataset": "the data set",
    "images per class": "the number of images per class",
    "setting": "the setting",
    "models": "the models",
}
MINUS = "\N{MINUS SIGN}"
MOST = 4
"""Values that are named."""


def verdict_text(judged: Judged) -> str:
    """Such as "depends on the data set: holds for Flowers102; not for CIFAR-100"."""
    if judged.verdict == "depends":
        if not judged.depends_on:
            return "depends: holds in some places and fails in others"
        holds, fails = _values(judged, judged.having("holds")), _values(judged, judged.having("fails"))
        on = " and ".join(NOUNS[key] for key in judged.depends_on)
        return f"depends on {on}: holds for {holds}; not for {fails}"
    if judged.verdict == "undecided" and (holding := judged.having("holds")):
        kept = dict.fromkeys(one.evidence.name for one in holding)
        open_ = dict.fromkeys(one.evidence.name for one in judged.estimates if one.evidence.name not in kept)
        return f"undecided: holds for {'; '.join(kept)}; not decided for {'; '.join(open_)}"
    text: str = judged.verdict
    if judged.verdict == "supported" and judged.lacking:
        text += ", as far as measured"
    return f"{text}, for these models alone" if judged.one_pair else text


def count_text(judged: Judged) -> str:
    """Such as "holds in 3 of 5 numbers, fails in 1", "2 numbers" where none is decided, or nothing."""
    numbers = len(judged.estimates)
    if not numbers:
        return ""
    counted = f"{numbers} number" + "s" * (numbers > 1)
    holds, fails = judged.outcomes.count("holds"), judged.outcomes.count("fails")
    if not holds and not fails:
        return counted
    if not holds:
        return f"fails in {fails} of {counted}"
    return f"holds in {holds} of {counted}" + (f", fails in {fails}" if fails else "")


def number_text(one: Estimate) -> str:
    """Such as "-9.6 points (-10.6 to -8.6)", and how many trials are not in it, as they diverged."""
    value, low, high = (one.shown(part) for part in (one.number.value, one.number.low, one.number.high))
    unit = {"ratio": " times", "exponent": "", "share": ""}.get(one.unit, f" {one.unit}")
    text = f"{_digits(one, value)}{unit}"
    if low is not None:
        text += f" ({_digits(one, low)} to {_digits(one, high)})"
    diverged, trials = one.diverged
    return f"{text}, without {diverged} of {trials} trials that diverged" if diverged else text


def where(one: Estimate, key: str) -> str:
    """What a key of `bench.spec.claim.KEYS` is for it, datasets by their titles; empty where it has none."""
    text = one.case.get(key, "")
    return dataset_title(text) if key == "dataset" else text


def _digits(one: Estimate, value: float | None) -> str:
    """A number as it is shown, with more decimals where it would look like 0 and is not."""
    assert value is not None
    sign = "+" if one.unit in ("points", "nats", "decades") else ""
    fewest = 1 if one.unit == "points" else 2
    decimals = next((n for n in range(fewest, 4) if round(value, n)), fewest)
    return f"{value:{sign}.{decimals}f}".replace("-", MINUS)


def _values(judged: Judged, estimates: list[Estimate]) -> str:
    """What the keys are where it holds, or where it fails."""
    values = dict.fromkeys(
        ", ".join(where(one, key) or "other" for key in judged.depends_on) for one in estimates
    )
    named = list(values)[:MOST]
    return "; ".join(named) + (f" and {len(values) - MOST} more" if len(values) > MOST else "")
