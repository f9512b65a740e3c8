"""What the sentences of an answer cannot tell, for the end of it."""

from collections.abc import Iterable, Iterator, Sequence

from bench.analysis.flags import Flag
from bench.analysis.regimes import frozen_by
from bench.report.advice import advise
from bench.report.cells import Cell, with_more_labels
from bench.report.data_sets import DataSet, left_out
from bench.report.evidence import Evidence
from bench.report.leads import kind_of
from bench.report.text import counted, listed

KINDS = {"transformer": "ViT", "cnn": "CNN"}
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def limits(evidence: Evidence, every: Sequence[DataSet]) -> str:
    """What the sentences above cannot tell, in one sentence and the names of what was left out."""
    cells = [cell for data in every for cell in data.cells]
    borrowed = listed(with_more_labels(cells))
    labels = [f"values for {borrowed} were searched with more labels than these have"] if borrowed else []
    facts = [_networks(cells), *_recipes(every), *labels, *_unmatched(evidence, every), *_copies(every)]
    return " ".join(filter(None, [f"{'; '.join(filter(None, facts))}.", left_out(cells)]))


def _networks(cells: Iterable[Cell]) -> str:
    models: dict[str, set[str]] = {}
    for cell in cells:
        models.setdefault(KINDS.get(kind_of(cell), kind_of(cell)), set()).add(cell.model)
    names = listed([_number(len(own), kind) for kind, own in sorted(models.items(), reverse=True)])
    if len(models) < 2:
        return f"{names} compared, and no ViT with a CNN"
    return f"comparing {names} does not settle ViT or CNN in general"


def _number(number: int, kind: str) -> str:
    return (
        counted(number, kind).replace(str(number), NUMBERS[number])
        if number < len(NUMBERS)
        else counted(number, kind)
    )


def _recipes(every: Iterable[DataSet]) -> list[str]:
    """Which ways of training all weights were not searched for each network."""
    shared = dict.fromkeys(
        regime.label
        for data in every
        for regime in data.regimes
        if any(c.protocol == "shared" and not any(map(frozen_by, c.records)) for c in regime.cells)
    )
    return [f"the recipe was not searched for each network ({', '.join(shared)})"] if shared else []


UNMATCHED = {
    Flag.UNMATCHED_FLOPS: "{title} costs {ratio:.1f} times the FLOPs of {other}",
    Flag.UNMATCHED_PRETRAINING: "pretrained on {both}",
    Flag.UNMATCHED_WIDTH: "the frozen features differ in width ({both})",
}


def _unmatched(evidence: Evidence, every: Sequence[DataSet]) -> Iterator[str]:
    """In what the two networks that a recommendation compares differ, each once."""
    bests = [advise(evidence, data, data.common_sizes[-1]).best for data in every]
    said: dict[str, None] = {}
    for best, finding in ((best, best.finding) for best in bests if best):
        for note in finding.flags if finding else ():
            if note.flag in UNMATCHED:
                both = (best.ahead.title, best.behind.title)
                other = " or ".join(title for title in both if title != note.values.get("title"))
                said[UNMATCHED[note.flag].format(**note.values, other=other)] = None
    return iter(said)


def _copies(every: Iterable[DataSet]) -> list[str]:
    names = [
        data.title
        for data in every
        if any(record.data.data_copy == "copy not verified" for c in data.cells for record in c.records)
    ]
    return [f"the images of {listed(names)} are a copy that could not be verified"] if names else []
