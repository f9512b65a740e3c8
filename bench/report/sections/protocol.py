"""The protocol: what was held equal, how often the test split was looked at, what intervals are worth."""

import pandas as pd

from bench.analysis.decisions import CAP
from bench.analysis.simulation.study import stored
from bench.analysis.trained import LEFT_CHANCE
from bench.report.blocks import Column, Details, Heading, Section, Table, number
from bench.report.cells import with_more_labels
from bench.report.evidence import Evidence
from bench.report.sections.budget import budget
from bench.report.sections.kfold import in_folds
from bench.report.sections.looks import looks_at_test, withdrawn
from bench.report.text import NOT_MEASURED, count, counted, listed, percent, points, span, split_label

SELECTIONS = {
    "last": "last checkpoint",
    "best-val": "best epoch by val",
    "val-oracle": "val-oracle: best epoch by a val set that has more labels than the subset",
}


def protocol(evidence: Evidence) -> Section:
    """Splits, budgets, looks at the test split, and the intervals with what simulation says of them."""
    return Section.of(
        "protocol",
        "Protocol",
        "Within a comparison every model is trained on the same images, with the same budget, input size and "
        "augmentation, unless its row says otherwise. Protocols: shared, one recipe for all, untuned; tuned, "
        "an equal search for all; own, a family's published recipe, all of it.",
        _trained(evidence),
        _comparisons(evidence),
        Details.of("Budget of every subset", budget(evidence)),
        Heading("Looks at the test split"),
        looks_at_test(evidence),
        withdrawn(evidence),
        _choices(evidence),
        _copies(evidence),
        Heading("Intervals and verdicts"),
        _intervals(evidence),
        _groups(evidence),
        in_folds(evidence),
        _simulated(),
    )


def _choices(evidence: Evidence) -> str:
    done = evidence.done.assign(weights=_weights(evidence))
    if not len(done):
        return "Nothing was chosen yet."
    borrowed = listed(with_more_labels(evidence.cells))
    labels = f" The values for {borrowed} were searched with more labels than these have." if borrowed else ""
    chosen = done[done["weights"] != "last"]
    if not len(chosen):
        last = "Every trial is evaluated with its last checkpoint: nothing was chosen by the val split."
        return last + labels
    cells = chosen.groupby(["comparison", "title", "weights"], sort=False)["run"].nunique()
    rows = [f"{title} in {name} ({kind}, {counted(n, 'run')})" for (name, title, kind), n in cells.items()]
    return f"Checkpoints chosen by the val split: {'; '.join(rows)}.{labels}"


def _weights(evidence: Evidence) -> pd.Series:
    """Which checkpoint of each trial counts; its row says how the values of its recipe were chosen, too."""
    return evidence.done["run"].map(lambda run: evidence.records[run].selection)


def _trained(evidence: Evidence) -> str:
    """What counts as trained, and what the baselines were made of."""
    baselines = [base for record in evidence.records.values() if (base := evidence.training.baseline(record))]
    text = (
        'A cell is "not trained", and supports no statement about its architecture, where the training '
        f"loss, averaged over the last tenth of training, is above {100 * LEFT_CHANCE:.0f} % of that of "
        "guessing (ln C for C classes; with a teacher the most that it can be), or where the mean test "
        "accuracy is below that of chance, of the majority class or of the nearest neighbour on the same "
        "training images. Two trainings of one model may still be compared."
    )
    if not baselines:
        return f"{text} Of these, the majority class and the nearest neighbour were not measured."
    sides = listed(sorted({f"{base.pixels} x {base.pixels}" for base in baselines}))
    looks = len({base.id for base in baselines})
    return (
        f"{text} The nearest neighbour is by Euclidean distance between raw pixels at {sides} px. It and "
        f"the majority class were evaluated on the test split for {counted(looks, 'subset')}; neither "
        "has a setting that could be tuned."
    )


def _copies(evidence: Evidence) -> str:
    done = evidence.done.drop_duplicates("run")
    unverified = done[done["data_copy"] == "copy not verified"]
    if not len(done):
        return "No copy of the data was used yet."
    if (done["data_copy"] == "own data").all():
        return "The images are the user's own: there is no published copy to verify them against."
    if not len(unverified):
        return "Every copy of published data was verified against its checksums."
    sets = listed(sorted(set(unverified["dataset"])))
    runs = counted(len(unverified), "run")
    return f"Copies of {sets} were not verified against checksums in {runs} of {len(done)}."


def _intervals(evidence: Evidence) -> str:
    tried = max((f.result.comparisons for f in evidence.findings if f.pair.primary and f.result), default=0)
    delta = points(evidence.suite.delta, sign=False)
    verdicts = (
        f"Better and worse are decided by Holm's procedure over {tried} primary contrasts and sizes that the "
        "suite plans and that can be decided, at 5 % for all together; those with fewer than three "
        "replicates planned are not counted. Equivalent takes two one-sided tests at "
        f"±{delta} points, declared beforehand, by Holm likewise. "
        if tried
        else ""
    )
    return (
        "A contrast is the mean difference in score over test images and replicates, both random and paired. "
        "Its variance has a part from replicates and a part from images, by the mean squares of a two-way "
        "analysis of variance; each part is taken with Student's t at its own degrees of freedom, and the "
        "half-widths add up like standard errors (Howe, 1974). With three contrasts or more in a comparison "
        "the part from replicates is raised towards what these have in common (Smyth, 2004), by a weight of "
        f"at most {CAP:g} of its own degrees of freedom. Two replicates are too few for an interval. A probe "
        "on the whole training split is deterministic: a second run would be the same, and its interval is "
        f"over test images alone. {verdicts}Every printed interval, bands of curves too, is a plain 95 % "
        "interval that holds for itself; none leaves the range that is possible given the two accuracies. "
        "Exploratory contrasts get no verdict. Intervals are about new training runs and new test images of "
        "the same kind. They are conditional on the pool of training images (and on all of them where the "
        "whole split is used), on the values that were tuned, and on the checkpoint of a pretrained model. "
        f"{_replicates(evidence)}"
    )


def _groups(evidence: Evidence) -> list[str]:
    """Of each data set whose test images belong together: what is independent there."""
    texts = []
    for data in {record.data.key: record.data for record in evidence.records.values()}.values():
        groups = evidence.predictions.groups(data)
        if groups is not None:
            name, number = evidence.names[data.dataset, data.fingerprint], len(set(groups))
            texts.append(
                f"The {count(data.test_images)} test images of {name} come in {counted(number, 'group')}, "
                "such as patients. Images of one group are not independent: in every interval and verdict a "
                "group stands in the place of an image."
            )
    return texts


def _simulated() -> str:
    """The highest rates of false verdicts over all scenarios, and where intervals cover less than stated."""
    rates = stored()
    parts = []
    for claim, name in (("verdict", "a false better or worse"), ("equivalent", "a false equivalent")):
        worst = rates[rates["claim"] == claim].groupby("replicates")["false_claims"].max()
        each = ", ".join(f"{percent(rate)} % with {n} replicates" for n, rate in worst.items())
        parts.append(f"{name} in at most {each}")
    first, blind = rates.iloc[0], rates[rates["covers"].astype(str) == "False"]
    text = (
        f"Checked by simulation ({first['command']}): of {count(first['suites'])} suites for each of several "
        f"known truths there was {'; '.join(parts)}; 5 % is stated for each."
    )
    worst = blind.groupby("scenario", sort=False)["coverage"].min()
    each = "; ".join(f"{name} (down to {percent(rate)} %)" for name, rate in worst.items())
    return text + (f" Plain intervals cover the truth less often than stated for: {each}." if each else "")


def _replicates(evidence: Evidence) -> str:
    """Whether their number depends on what is decided."""
    texts = []
    for comparison in evidence.suite.comparisons:
        if looks := comparison.looks:
            *first, most = map(str, looks)
            texts.append(
                f"In {comparison.name} primary contrasts are judged after {listed(first)} replicates, and at "
                f"last after {most}, and get more until they are decided. R of at most {most} have spent 5 % "
                f"times (R / {most})², and the p-value is the smallest over all looks, each divided by its "
                "share (Kim and DeMets, 1987; Bonferroni): stopping at a verdict makes no more of them "
                "false. Plain intervals do not allow for it."
            )
    if len(texts) < len(evidence.suite.comparisons):
        texts.append(
            f"{'Elsewhere the' if texts else 'The'} number of replicates is to be fixed beforehand: adding "
            "some until a verdict comes would make more of them false."
        )
    more = {cell.comparison for cell in evidence.cells if cell.asked and len(cell.runs) > cell.asked}
    if more:
        texts.append(f"In {listed(sorted(more))} there are more replicates than the suite asks for.")
    return " ".join(texts)


def _comparisons(evidence: Evidence) -> Table:
    weights = _weights(evidence)
    items = [
        (comparison, _group(evidence.trials, comparison.name), _group(evidence.done, comparison.name))
        for comparison in evidence.suite.comparisons
    ]
    columns = (
        Column("Comparison", lambda one: one[0].name),
        Column(
            "Dataset (split)", lambda one: split_label(one[0].dataset, one[0].split_id), under="Comparison"
        ),
        number("Train, val, test images", lambda one: _images(one[2])),
        Column("Draws of the subsets", lambda one: _draws(one[1][one[1]["run"].notna()]), wide=True),
        Column("Recipe (protocol)", lambda one: _recipes(one[1]), wide=True),
        Column("Precision", lambda one: _values(one[2]["precision"])),
        Column(
            "Weights that count",
            lambda one: _values(weights.reindex(one[2].index).map(SELECTIONS)),
            wide=True,
        ),
        Column("Unmatched", lambda one: one[0].unmatched or "nothing stated", wide=True),
    )
    caption = "What was held equal in each comparison. Train images: those of the subsets that were used."
    return Table.of("protocol", caption, columns, items)


def _group(trials: pd.DataFrame, comparison: str) -> pd.DataFrame:
    return trials[trials["comparison"] == comparison]


def _draws(rows: pd.DataFrame) -> str:
    drawn = rows["draw_seed"].dropna().nunique()
    parts = [counted(drawn, "nested, class-balanced draw")] if drawn else []
    if rows["draw_seed"].isna().any():
        parts.append("the whole split: one draw, no spread over draws")
    return "; ".join(parts) or NOT_MEASURED


def _recipes(rows: pd.DataFrame) -> str:
    protocols = rows.groupby("recipe", sort=False)["protocol"].unique()
    named = {recipe: listed([one for one in own if pd.notna(one)]) for recipe, own in protocols.items()}
    return "; ".join(f"{recipe} ({own})" if own else recipe for recipe, own in named.items())


def _values(values: pd.Series) -> str:
    return "; ".join(dict.fromkeys(values.dropna())) or NOT_MEASURED


def _images(done: pd.DataFrame) -> str:
    if done.empty:
        return NOT_MEASURED
    return ", ".join(span(done[f"{part}_images"], count) for part in ("train", "val", "test"))
