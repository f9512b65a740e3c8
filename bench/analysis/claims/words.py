"""Verdicts and numbers of claims in words, the same on the page, in tables and on the command line."""

from bench.analysis.claims.estimate import Estimate
from bench.analysis.claims.verdict import Judged, Outcome
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
    """Such as "depends on the data set: holds for Flowers102; not for CIFAR-100".

    A claim of several parts holds for a value only where each of them does. Else it is said which part holds
    there: "in part for Flowers102 (holds: loss under corruptions; not decided: loss under occlusion)".
    """
    if judged.verdict == "depends":
        if not judged.depends_on:
            return "depends: holds in some places and fails in others"
        on = " and ".join(NOUNS[key] for key in judged.depends_on)
        return f"depends on {on}: {'; '.join(_places(judged))}"
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
    unit = {"ratio": " times", "exponent": "", "share": "", "percent": " %"}.get(one.unit, f" {one.unit}")
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
    sign = "+" if one.unit in ("points", "percent", "nats", "decades") else ""
    fewest = 1 if one.unit in ("points", "percent") else 2
    decimals = next((n for n in range(fewest, 4) if round(value, n)), fewest)
    return f"{value:{sign}.{decimals}f}".replace("-", MINUS)


def _places(judged: Judged) -> list[str]:
    """For which values of what the verdict depends on the claim holds, for which in part, for which not."""
    holding = _by_value(judged, "holds")
    if "evidence" in judged.depends_on:  # a value is one part alone
        whole, lacking = list(holding), {}
    else:
        parts = [one.name for one in judged.claim.evidence]
        lacking = {
            value: missing
            for value, held in holding.items()
            if (missing := [name for name in parts if name not in held])
        }
        whole = [value for value in holding if value not in lacking]
    measured = _by_value(judged, "holds", "fails", "undecided")
    places = [f"holds for {_some(whole)}"] if whole else []
    by_parts: dict[str, list[str]] = {}
    for value, missing in lacking.items():
        by_parts.setdefault(_in_part(holding[value], missing, measured[value]), []).append(value)
    places += [f"in part for {_some(values)} ({text})" for text, values in by_parts.items()]
    return [*places, f"not for {_some(list(_by_value(judged, 'fails')))}"]


def _in_part(held: list[str], missing: list[str], measured: list[str]) -> str:
    """Which parts of a claim hold in a place, and what of the others is known; of many their number."""
    parts = {
        "holds": held,
        "not decided": [name for name in missing if name in measured],
        "not measured": [name for name in missing if name not in measured],
    }
    return "; ".join(
        f"{what}: {', '.join(names) if len(names) < MOST else f'{len(names)} others'}"
        for what, names in parts.items()
        if names
    )


def _by_value(judged: Judged, *outcomes: Outcome) -> dict[str, list[str]]:
    """By the value of the keys that the verdict depends on, the parts with one of some outcomes there."""
    parts: dict[str, list[str]] = {}
    for one in judged.having(*outcomes):
        value = ", ".join(where(one, key) or "other" for key in judged.depends_on)
        names = parts.setdefault(value, [])
        if one.evidence.name not in names:
            names.append(one.evidence.name)
    return parts


def _some(values: list[str]) -> str:
    more = f" and {len(values) - MOST} more" if len(values) > MOST else ""
    return "; ".join(values[:MOST]) + more
