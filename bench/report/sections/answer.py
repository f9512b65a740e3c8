"""The answer: what the primary contrasts say, in at most five sentences."""

from itertools import groupby

from bench.analysis.contrasts import Finding
from bench.report.blocks import Block, Claim, Claims, Prose, Section
from bench.report.chooser import chooser
from bench.report.evidence import Evidence
from bench.report.text import NOT_MEASURED, listed, subset
from bench.report.verdicts import pair_name, sentence, short_notes, table_of, verdict

SENTENCES = 5
ORDER = ("better", "worse", "equivalent", "inconclusive", "no verdict", NOT_MEASURED)


def answer(evidence: Evidence) -> Section:
    """One sentence a primary contrast and comparison, about the largest subset with the firmest result."""
    primary = [finding for finding in evidence.findings if finding.pair.primary]
    if not primary:
        text = "This suite declares no primary contrast, so it claims nothing; the tables describe it."
        return Section("answer", "The answer", (Prose(text), *chooser(evidence)))
    groups = [
        list(group) for _, group in groupby(primary, key=lambda f: (f.pair.comparison, f.pair.a, f.pair.b))
    ]
    claims = [_claim(group) for group in groups]
    firmest = sorted(claims, key=lambda claim: _rank(claim.verdict))[:SENTENCES]
    blocks: list[Block] = [Claims(tuple(claim for claim in claims if claim in firmest))]
    if len(claims) > SENTENCES:
        left = len(claims) - SENTENCES
        more = "contrast stands" if left == 1 else "contrasts stand"
        blocks.append(Prose(f"{left} more primary {more} in the section Contrasts."))
    blocks.append(Prose(_reading(primary)))
    return Section("answer", "The answer", (*blocks, *chooser(evidence)))


def _reading(primary: list[Finding]) -> str:
    """What the intervals are about; that there are none where too few replicates were run."""
    if not any(finding.has_interval for finding in primary):
        return (
            "No primary contrast has the three replicates that an interval needs, so nothing is claimed: "
            "means of fewer runs say what was measured, not which model is better."
        )
    all_of_them = f"all {len(primary)} primary contrasts and sizes that the suite plans"
    hold, condition = f"The intervals hold together for {all_of_them},", "They condition"
    if len(primary) == 1:
        hold, condition = "The interval holds", "It conditions"
    return (
        f"Differences are in points of top-1 accuracy on the test split. {hold} for new training runs and "
        "new test images (on the whole training split: new runs on the same training images). "
        f"{condition} on the pool of training images, the values that were tuned and the checkpoints. "
        "Sentences name models, and speak of no others."
    )


def _claim(group: list[Finding]) -> Claim:
    """One pair in one comparison, in one sentence: its largest decided subset, and a word on the others."""
    head = max(group, key=lambda f: (-_rank(verdict(f)), group.index(f)))
    if head.result is None:
        text = f"{pair_name(head)} in {head.pair.comparison}: not measured at any size."
        return Claim(text, verdict(head), (), table_of(head.pair.comparison))
    text = sentence(head)
    others = {
        word: [
            subset(f.pair.shots, f.images_per_class) for f in group if f is not head and verdict(f) == word
        ]
        for word in ORDER
    }
    rest = [f"{word} at {listed(sizes)}" for word, sizes in others.items() if sizes]
    if rest:
        text = f"{text.removesuffix('.')}; at other sizes, {pair_name(head)}: {', '.join(rest)}."
    return Claim(text, verdict(head), short_notes(head), table_of(head.pair.comparison))


def _rank(word: str) -> int:
    """How far a verdict is from firm; better, worse and equivalent are equally firm."""
    return 0 if word in ("better", "worse", "equivalent") else ORDER.index(word)
