"""Every sentence of the recommendations on the published stores, against the tables, by pandas alone."""

import re
from pathlib import Path

import pandas as pd
import pytest

from bench.report.chooser import chooser
from bench.report.data_sets import data_sets
from bench.report.evidence import gather
from bench.report.recommendation import answer
from bench.report.sections.answer import answer_table
from bench.report.sections.answer_figure import styles_of
from bench.store.run_store import RunStore

ROOT = Path(__file__).parents[2] / "results" / "published"
pytestmark = pytest.mark.skipif(not (ROOT / "tables").is_dir(), reason="no published store here")

NUMBER = r"(?:−?\d+\.\d+)"
SIZE = r"(?:all |about )?\d+ images? per class"
INTERVAL = rf"95 % interval (?P<low>{NUMBER}) to (?P<high>{NUMBER})(?:, over test images alone)?"
BASIS = rf"(?: \((?:{INTERVAL})?(?:; )?(?P<remark>[^()]*)\))?"


@pytest.fixture(scope="module")
def store():
    return RunStore(ROOT)


def tables(suite):
    accuracy, contrasts = (
        pd.read_csv(ROOT / "tables" / f"{name}.csv", dtype={"run": str}) for name in ("accuracy", "contrasts")
    )
    accuracy = accuracy[(accuracy["suite"] == suite) & (accuracy["condition"] == "clean")]
    return accuracy, contrasts[contrasts["suite"] == suite]


def trained_suites():
    if not (ROOT / "tables").is_dir():
        return []
    names = sorted(pd.read_csv(ROOT / "tables" / "accuracy.csv")["suite"].unique())
    return [name for name in names if (ROOT / "suites" / f"{name}.json").exists()]


@pytest.fixture(scope="module", params=trained_suites())
def evidence(store, request):
    return gather(store, request.param)


def number(text):
    return float(text.replace("−", "-"))


def check(accuracy, contrasts, data, regime, size, match):
    """One difference in words against its row, or, of two networks that no contrast declares, against their
    accuracies; True where there are such."""
    rows = contrasts[
        (contrasts["dataset"] == data.name)
        & (contrasts["comparison"] == regime)
        & (contrasts["images_per_class"].round() == size)
    ]
    ahead, behind = match["ahead"], match["behind"]
    straight = rows[(rows["a_title"] == ahead) & (rows["b_title"] == behind)]
    turned = rows[(rows["a_title"] == behind) & (rows["b_title"] == ahead)]
    if straight.empty and turned.empty:
        return check_undeclared(accuracy, regime, size, match)
    sign = 1 if len(straight) else -1
    row = (straight if len(straight) else turned).iloc[-1]
    assert f"{100 * sign * row['difference']:.1f}" == match["points"]
    ends = sorted((sign * row["low"], sign * row["high"]))
    if match["low"]:
        digits = len(match["low"].partition(".")[2])
        assert [number(match[end]) for end in ("low", "high")] == [round(100 * end, digits) for end in ends]
    else:
        assert row.isna()["low"]
    remark = match["remark"] or ""
    if row["primary"] and row["verdict"] in ("better", "worse"):
        assert remark == "" and (row["verdict"] == "better") == (sign > 0)
    elif row["primary"] and row["verdict"] == "inconclusive":
        assert remark.startswith("not decided")
        among = f"not decided among {row['comparisons']:.0f} contrasts"
        assert (remark == among) == (ends[0] > 0 or ends[1] < 0)
    elif not row["primary"] and match["low"]:
        assert remark == "exploratory"
    return True


def check_undeclared(accuracy, regime, size, match):
    own = accuracy[
        (accuracy["comparison"] == regime) & (accuracy["images_per_class"].round() == size)
    ].set_index(["draw_seed", "seed"])
    ahead, behind = (own.loc[own["title"] == match[side], "top1"] for side in ("ahead", "behind"))
    apart = (ahead - behind).dropna()
    assert match["points"] == f"{100 * apart.mean():.1f}"
    if len(apart) < 3:
        assert match["low"] is None and "too few for an interval" in match["remark"]
    else:
        assert match["remark"] == "exploratory"
        assert number(match["low"]) <= number(match["points"]) <= number(match["high"])
    return len(apart) > 0


def untrained(means):
    """Means of trials that a nearest neighbour in raw pixels beats; no published loss is at chance."""
    return means["top1"] < means["nearest_top1"] - 1e-9


def told(titles):
    names = "|".join(re.escape(title) for title in sorted(titles, key=len, reverse=True))
    return re.compile(
        rf"(?P<ahead>{names}) is ahead of (?P<behind>{names}) by (?P<points>{NUMBER}) points"
        rf"(?: with (?P<size>{SIZE}))?{BASIS}"
    )


def images(words):
    return int(re.search(r"\d+", words)[0])


def test_every_difference_of_every_choice(evidence):
    accuracy, contrasts = tables(evidence.name)
    checked = 0
    every = data_sets(evidence)
    for data, own in zip(every, chooser(evidence, every).data["data"], strict=True):
        for size in own["sizes"]:
            pattern = told({cell.title for cell in data.cells})
            for regime in data.regimes:
                start = regime.phrase[0].upper() + regime.phrase[1:]
                for sentence in re.findall(rf"{re.escape(start)}, .*?(?<!\d)\.(?= |$)", size["advice"]):
                    match = pattern.search(sentence)
                    assert match or "equally accurate" in sentence, sentence
                    checked += bool(match) and check(
                        accuracy, contrasts, data, regime.comparison.name, images(size["label"]), match
                    )
    assert checked


def test_the_best_of_each_has_accuracies_that_differ_by_what_it_says(evidence):
    every = data_sets(evidence)
    sides = rf"\((?P<a>{NUMBER}) %\) is ahead of [^.]*?\((?P<b>{NUMBER}) %\) by (?P<points>{NUMBER}) points"
    compared = re.compile(r"Comparing the best of each[^.]*?, .*?" + sides)
    found = [
        match
        for own in chooser(evidence, every).data["data"]
        for size in own["sizes"]
        for match in compared.finditer(size["advice"])
    ]
    for match in found:
        assert abs(number(match["a"]) - number(match["b"]) - number(match["points"])) < 0.11, match[0]
    assert found or evidence.name != "cpu"


def test_the_headline(evidence):
    """Sizes and differences of its sentences, and what it says to take at each size."""
    accuracy, contrasts = tables(evidence.name)
    paragraphs = answer(evidence).split("\n\n")
    every = data_sets(evidence)
    for data, text in zip(every, paragraphs, strict=False):
        assert text.startswith(f"On {data.title}, take ")
        pattern = told({cell.title for cell in data.cells})
        for match in pattern.finditer(text):
            if match["size"] and len(data.regimes) == 1:
                name = data.regimes[0].comparison.name
                assert check(accuracy, contrasts, data, name, images(match["size"]), match)
        lead = text[: text.index(". ")].partition(", take ")[2]
        if len(data.regimes) == 1:
            _taken(accuracy, contrasts, data, lead)


def _taken(accuracy, contrasts, data, lead):
    """A network that is to be taken without reserve is better at every size of the range than the best of
    those that it is set against."""
    scores = accuracy.groupby(["comparison", "images_per_class", "title"])["top1"].mean()
    for part in lead.split("; "):
        match = re.fullmatch(
            r"(?P<names>.+) with (?:(?P<low>\d+) to )?(?P<high>(?:all |about )?\d+)"
            r"(?: images? per class)?(?: \((?P<reserve>[^()]+)\))?",
            part,
        )
        assert match, part
        high = images(match["high"])
        low = int(match["low"] or high)
        rows = contrasts[
            (contrasts["comparison"] == data.regimes[0].comparison.name)
            & contrasts["images_per_class"].round().between(low, high)
        ]
        assert len(rows)
        for (name, size), at in rows.groupby(["comparison", "images_per_class"]):
            own = at[(at["a_title"] == match["names"]) | (at["b_title"] == match["names"])]
            others = own["a_title"].where(own["b_title"] == match["names"], own["b_title"])
            best = others.map(scores[name, size]).max()
            own = own[others.map(scores[name, size]) == best]
            wins = (own["a_title"] == match["names"]).map({True: "better", False: "worse"}) == own["verdict"]
            assert wins.any() == (match["reserve"] is None)
        if match["reserve"] is None:
            own = accuracy[
                (accuracy["comparison"] == data.regimes[0].comparison.name)
                & accuracy["images_per_class"].round().between(low, high)
            ]
            cells = own.groupby(["images_per_class", "title"])[["top1", "nearest_top1"]].mean()
            means = cells.loc[~untrained(cells), "top1"]
            for size in means.index.get_level_values(0).unique():
                assert means[size].idxmax() == match["names"]


def test_the_table(evidence):
    accuracy, _ = tables(evidence.name)
    every = data_sets(evidence)
    table = answer_table(evidence, every, styles_of(evidence, every))
    titles = [column.title for column in table.columns]
    pattern = re.compile(r"(about )?\d+( \(all\))?")
    sizes = {k: images(title) for k, title in enumerate(titles) if pattern.fullmatch(title)}
    assert sizes
    rows = 0
    for row in table.rows:
        text = {title: field.text for title, field in zip(titles, row, strict=True)}
        (data,) = [one for one in every if one.title == text["Data"]]
        (regime,) = [one for one in data.regimes if one.label == text["Training"]]
        own = accuracy[accuracy["comparison"] == regime.comparison.name]
        own = own[own["title"] == text["Model"]]
        for k, size in sizes.items():
            at = own[own["images_per_class"].round() == size]
            assert row[k].text == ("–" if at.empty else f"{100 * at['top1'].mean():.1f}")
            lost = untrained(at[["top1", "nearest_top1"]].mean())
            assert row[k].notes == (("not trained",) if lost else ())
        params = own["params"].iloc[0] / 1e6
        assert float(text["Parameters (M)"]) == pytest.approx(params, abs=0.05 if params >= 1 else 0.0005)
        rows += 1
    # Trials that a second comparison looks at under other conditions are told once.
    runs = list(accuracy.groupby("comparison", sort=False)["run"].agg(set).items())
    again = [
        name
        for at, (name, own) in enumerate(runs)
        if any(own < other for _, other in runs) or own in [other for _, other in runs[:at]]
    ]
    shown = accuracy[~accuracy["comparison"].isin(again)]
    assert rows == shown.groupby(["comparison", "contestant"]).ngroups
