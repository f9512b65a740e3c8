"""The protocol: what was held equal, how often the test split was looked at, what intervals are worth."""

import pandas as pd

from bench.analysis.decisions import CAP
from bench.analysis.trained import LEFT_CHANCE
from bench.report.blocks import Block, Column, Details, Field, Heading, Prose, Section, Table
from bench.report.evidence import Evidence
from bench.report.sections.simulated import simulated
from bench.report.text import NOT_MEASURED, count, listed, percent, points, split, subset

COMPARISONS = (
    Column("Comparison"),
    Column("Dataset (split)", under="Comparison"),
    Column("Train, val, test images", numeric=True),
    Column("Draws of the subsets", wide=True),
    Column("Recipe (protocol)", wide=True),
    Column("Precision"),
    Column("Weights that count", wide=True),
    Column("Copy of the data", under="Comparison", label="copy of the data: "),
    Column("Unmatched", wide=True),
)
BUDGET = (
    Column("Comparison"),
    Column("Images per class", numeric=True),
    Column("Training images seen", wide=True),
    Column("Epochs", wide=True),
    Column("Training runs", wide=True),
)
SELECTIONS = {
    "last": "last checkpoint",
    "best-val": "best epoch by val",
    "val-oracle": "val-oracle: best epoch by a val set that has more labels than the subset",
}


def protocol(evidence: Evidence) -> Section:
    """Splits, budgets, looks at the test split, and the intervals with what simulation says of them."""
    blocks: list[Block] = [
        Prose(
            "Within a comparison every model is trained on the same images, with the same budget, input size "
            "and augmentation, unless its row says otherwise. Protocols: shared, one recipe for all, "
            "untuned; tuned, an equal search for all; own, a family's published recipe, all of it."
        ),
        Prose(_trained(evidence)),
        _comparisons(evidence),
        Details("Budget of every subset", (_budgets(evidence),)),
        Heading("Looks at the test split"),
        Prose(looks_at_test(evidence)),
        *_withdrawn(evidence),
        Prose(_choices(evidence)),
        Prose(_copies(evidence)),
        Heading("Intervals and verdicts"),
        Prose(_intervals(evidence)),
        *simulated(),
    ]
    return Section("protocol", "Protocol", tuple(blocks))


def looks_at_test(evidence: Evidence) -> str:
    """How often the test split was evaluated."""
    done = evidence.done.drop_duplicates("run")
    looks = done["test_evaluations"].dropna()
    gone = int(evidence.withdrawn["test_evaluations"].sum())
    if looks.empty and not gone:
        return "The test split has not been evaluated: no trial of this suite has an outcome yet."
    if looks.empty:
        return f"The test split was evaluated {_times(gone)}, in trials that were later withdrawn."
    words = (
        f"The test split was evaluated {_times(looks.sum())} in {count(len(looks))} trials, at most "
        f"{_times(looks.max())} in any one of them; a trial that diverged is scored at chance without a look."
    )
    again = done.loc[done["test_evaluations"] > 1, "run"]
    if len(again):
        words += f" More than once in: {listed(list(again))}, which were interrupted after their look."
    if gone:
        return (
            f"{words} It was evaluated {_times(gone)} more in {_trials(len(evidence.withdrawn))} that were "
            f"stored and later withdrawn: {_times(looks.sum() + gone)} in all. No trial chooses anything by "
            "it, but whoever changed the suite had seen those results; they are in the table below."
        )
    return f"{words} Nothing is chosen by it."


def _trials(number: int) -> str:
    return f"{count(number)} trial{'' if number == 1 else 's'}"


def _withdrawn(evidence: Evidence) -> list[Block]:
    """The trials that were taken out of the store, with what they gave; nothing where there are none."""
    gone = evidence.withdrawn
    if gone.empty:
        return []
    keys = ["removed", "comparison", "title", "recipe", "precision", "shots", "reason", "commit"]
    rows = tuple(
        (
            Field(comparison or NOT_MEASURED),
            Field(title),
            Field("all" if pd.isna(shots) else str(int(shots))),
            Field(listed([percent(value) for value in own["top1"].dropna()]) or "diverged"),
            Field(count(own["test_evaluations"].sum())),
            Field(f"{recipe}, {precision}"),
            Field(f"{reason} ({removed}{'' if pd.isna(commit) else f', commit {commit[:9]}'})"),
        )
        for (removed, comparison, title, recipe, precision, shots, reason, commit), own in gone.groupby(
            keys, dropna=False, sort=False
        )
    )
    columns = (
        Column("Comparison"),
        Column("Model"),
        Column("Images per class", numeric=True),
        Column("Top-1 of each trial (%)", wide=True),
        Column("Looks", numeric=True),
        Column("Recipe, precision"),
        Column("Withdrawn because", wide=True),
    )
    caption = (
        "Trials that were stored, looked at the test split and were withdrawn; no other number has them."
    )
    return [Details("Withdrawn trials and their results", (Table("withdrawn", caption, columns, rows),))]


def _times(number: float) -> str:
    return {1: "once", 2: "twice"}.get(int(number), f"{count(number)} times")


def _choices(evidence: Evidence) -> str:
    done = evidence.done
    chosen = done[done["selection"].isin(["val-oracle", "best-val"])]
    if not len(done):
        return "Nothing was chosen yet."
    if not len(chosen):
        return "Every trial is evaluated with its last checkpoint: nothing was chosen by the val split."
    cells = chosen.groupby(["comparison", "title", "selection"], sort=False)["run"].nunique()
    rows = [f"{title} in {name} ({kind}, {_runs(n)})" for (name, title, kind), n in cells.items()]
    return f"Chosen by the val split: {'; '.join(rows)}."


def _trained(evidence: Evidence) -> str:
    """What counts as trained, and what the baselines were made of."""
    made = [base for record in evidence.records.values() if (base := evidence.training.baseline(record))]
    words = (
        'A cell is "not trained", and supports no statement about its architecture, where the training '
        f"loss, averaged over the last tenth of training, is above {100 * LEFT_CHANCE:.0f} % of that of "
        "guessing (ln C for C classes), or where the mean test accuracy is below that of chance, of the "
        "majority class or of the nearest neighbour on the same training images. Two trainings of one model "
        "may still be compared."
    )
    if not made:
        return f"{words} Of these, the majority class and the nearest neighbour were not measured."
    sides = listed(sorted({f"{base.pixels} x {base.pixels}" for base in made}))
    looks = len({base.id for base in made})
    return (
        f"{words} The nearest neighbour is by Euclidean distance between raw pixels at {sides} px. These two "
        f"were evaluated on the test split for {count(looks)} subset{'' if looks == 1 else 's'}; neither "
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
    return f"Copies of {sets} were not verified against checksums in {_runs(len(unverified))} of {len(done)}."


def _runs(number: int) -> str:
    return f"{count(number)} run{'' if number == 1 else 's'}"


def _intervals(evidence: Evidence) -> str:
    number = max((f.result.comparisons for f in evidence.findings if f.pair.primary and f.result), default=0)
    delta = points(evidence.suite.delta, sign=False)
    verdicts = (
        f"Better and worse are decided by Holm's procedure over {number} primary contrasts and sizes that "
        "the "
        "suite plans and that can be decided, at 5 % for all together; those with fewer than three "
        "replicates "
        f"planned are not counted. Equivalent takes two one-sided tests at ±{delta} points, declared "
        "beforehand, by Holm likewise. "
        if number
        else ""
    )
    return (
        "A contrast is the mean difference in score over test images and replicates, both random and paired. "
        "Its variance has a part from replicates and a part from images, by the mean squares of a two-way "
        "analysis of variance; each part is taken with Student's t at its own degrees of freedom, and the "
        "half-widths add up like standard errors (Howe, 1974). With three contrasts or more in a comparison "
        "the part from replicates is raised towards what these have in common (Smyth, 2004), by a weight of "
        "at "
        f"most {CAP:g} of its own degrees of freedom. Two replicates are too few for an interval. A probe on "
        "the whole training split is deterministic: a second run would be the same, and its interval is over "
        f"test images alone. {verdicts}Every printed interval, bands of curves too, is a plain 95 % interval "
        "that holds for itself; none leaves the range that is possible given the two accuracies. "
        "Exploratory contrasts get no verdict. Intervals are about new training runs and new test images "
        "of the same kind. They are conditional on the pool of training images (and on all of them where "
        "the whole split is used), on the values that were tuned, and on the checkpoint of a pretrained "
        "model. The number of replicates is fixed beforehand: adding some until a verdict comes would "
        "make more of them false."
    )


def _comparisons(evidence: Evidence) -> Table:
    rows = []
    for comparison in evidence.suite.comparisons:
        own = evidence.trials[evidence.trials["comparison"] == comparison.name]
        done = own[own["outcome"].notna()]
        rows.append(
            (
                Field(comparison.name),
                Field(split(comparison.dataset, comparison.split_id)),
                Field(_images(done)),
                Field(_draws(own[own["run"].notna()])),
                Field(_recipes(own)),
                Field(_values(done["precision"])),
                Field(_values(done["selection"].map(SELECTIONS))),
                Field(_copy(done["data_copy"])),
                Field(comparison.unmatched or "nothing stated"),
            )
        )
    caption = "What was held equal in each comparison. Train images: those of the subsets that were used."
    return Table("protocol", caption, COMPARISONS, tuple(rows))


def _budgets(evidence: Evidence) -> Table:
    rows: list[tuple[Field, ...]] = []
    groups: list[int] = []
    for comparison in evidence.suite.comparisons:
        groups.append(len(rows))
        cells = [cell for cell in evidence.cells if cell.comparison == comparison.name]
        for shots in dict.fromkeys(cell.shots for cell in cells):
            here = [cell for cell in cells if cell.shots == shots]
            own = evidence.done[evidence.done["run"].isin([run for cell in here for run in cell.runs])]
            own = own[own["comparison"] == comparison.name]
            rows.append(
                (
                    Field(comparison.name),
                    Field(subset(shots, here[0].images_per_class)),
                    Field(_by_model(own, "images_seen", 1)),
                    Field(_by_model(own, "epochs", 10)),
                    Field("; ".join(f"{cell.title}: {len(cell.runs)} of {cell.planned}" for cell in here)),
                )
            )
    caption = (
        "What every model was trained with, of trials that finished. One number: the same for all models."
    )
    return Table("budget", caption, BUDGET, tuple(rows), frozenset(groups))


def _by_model(rows: pd.DataFrame, column: str, parts: int) -> str:
    """The one value of all models, or that of each; rounded to 1 / parts."""
    found = {
        title: listed([_number(value, parts) for value in sorted(set(own[column].dropna().astype(float)))])
        for title, own in rows.groupby("title", sort=False)
    }
    found = {title: words for title, words in found.items() if words}
    if len(set(found.values())) <= 1:
        return next(iter(found.values()), NOT_MEASURED)
    return "; ".join(f"{title}: {words}" for title, words in found.items())


def _number(value: float, parts: int) -> str:
    rounded = round(value * parts) / parts
    return count(rounded) if rounded == int(rounded) else f"{rounded:g}"


def _draws(rows: pd.DataFrame) -> str:
    drawn = rows["draw_seed"].dropna().nunique()
    parts = [f"{drawn} nested, class-balanced draw{'' if drawn == 1 else 's'}"] if drawn else []
    if rows["draw_seed"].isna().any():
        parts.append("the whole split: one draw, no spread over draws")
    return "; ".join(parts) or NOT_MEASURED


def _recipes(rows: pd.DataFrame) -> str:
    kinds = rows.groupby("recipe", sort=False)["protocol"].unique()
    named = {recipe: listed([word for word in words if pd.notna(word)]) for recipe, words in kinds.items()}
    return "; ".join(f"{recipe} ({words})" if words else recipe for recipe, words in named.items())


def _values(values: pd.Series) -> str:
    return "; ".join(dict.fromkeys(values.dropna())) or NOT_MEASURED


def _images(done: pd.DataFrame) -> str:
    if done.empty:
        return NOT_MEASURED
    return ", ".join(_span(done[f"{part}_images"]) for part in ("train", "val", "test"))


def _span(values: pd.Series) -> str:
    values = values.dropna()
    if values.empty:
        return NOT_MEASURED
    return " to ".join(dict.fromkeys(count(value) for value in (values.min(), values.max())))


def _copy(copies: pd.Series) -> str:
    if copies.empty:
        return NOT_MEASURED
    unverified = int((copies == "copy not verified").sum())
    return f"copy not verified in {unverified} of {len(copies)}" if unverified else "; ".join(copies.unique())
