"""The study as a page of the guides, with a figure and its numbers."""

from pathlib import Path
from typing import Any

import pandas as pd
from regret.study import BATCH, EPOCHS, INPUT_SIZE, MIN_STEPS, POOL, regrets

from bench.files import write_text
from bench.frames import for_csv
from bench.machine import machine_name, versions
from bench.networks import find_card

RANDOM, ALWAYS, FROZEN = "one at random", "always ", "a pick on frozen features"
BLUE, GREY = "#2f6db5", "#8a8f98"


def summary(frame: pd.DataFrame) -> pd.DataFrame:
    """Mean and worst regret and the share of data sets without any, by way of picking, the best first."""
    grouped = frame.groupby("way")["regret"]
    table = pd.DataFrame(
        {"mean": grouped.mean(), "worst": grouped.max(), "none": grouped.agg(lambda own: (own < 1e-9).mean())}
    )
    # One at random picks each model of the pool as often; its regret is a mean, and never that of the best.
    table.loc[RANDOM, "none"] = table.loc[table.index.str.startswith(ALWAYS), "none"].mean()
    return table.sort_values(["mean", "worst"])


def write_page(studied: list[dict[str, Any]], out: Path) -> None:
    """Write the page, and beside it the figure (.svg) and the numbers (.csv)."""
    frame = regrets(studied)
    table = summary(frame)
    tests = pd.DataFrame({one["task"]: one["test_top1"] for one in studied}).T
    titles = {name: find_card(name).title for name in POOL}
    picking, tuning = (sum(one[key] for one in studied) for key in ("picking_s", "tuning_s"))
    about = (
        f"On {len(studied)} data sets{_cut(studied)} every model of a pool was fine-tuned, with the learning "
        f"rate that suits it by the same search (five rates, judged on val; {EPOCHS} epochs and at least "
        f"{MIN_STEPS} steps of {BATCH} images; two replicates), and probed on its frozen features; of the "
        "two what is better on val counts. The regret of a way of picking is the test accuracy of the best "
        "model minus that of the model it picks, in points. The pool is what was at hand: "
        f"{', '.join(titles.values())}, at {INPUT_SIZE} px, far from the sizes they were pretrained at. "
        "`nox -s regret` does it again; it takes hours, may be stopped, and goes on."
    )
    how = (
        f"Picking took {picking / len(studied):.0f} s a data set, training all {len(POOL)} "
        f"models {tuning / len(studied):.0f} s by the clock, with whatever else the machine "
        f"had to do: no more than orders of magnitude ({machine_name()}; PyTorch {versions()['torch']}). "
        "*Best on the other data sets* takes the model whose mean test accuracy on "
        "all other data sets is the highest; *one at random* is the mean over the pool. The best of the "
        "pool is the best on the test images, so that some regret is luck: *all trained, the best on val* "
        "shows how much."
    )
    header = ["data set", "classes", "training images", *titles.values(), "picked on frozen features"]
    lines = [
        "# Regret of a pick",
        "",
        main_result(table),
        "",
        about,
        "",
        "![Mean and worst regret by way of picking](regret.svg)",
        "",
        "| way of picking | mean regret | worst | picks the best |",
        "| --- | ---: | ---: | ---: |",
        *(
            f"| {way} | {100 * row['mean']:.1f} | {100 * row['worst']:.1f} | {row['none']:.0%} |"
            for way, row in table.iterrows()
        ),
        "",
        how,
        "",
        "Test accuracy in %:",
        "",
        f"| {' | '.join(header)} |",
        "| --- | ---: | ---: |" + " ---: |" * len(POOL) + " --- |",
        *(
            f"| {one['task']} | {one['classes']} | {one['train_images']} | "
            + " | ".join(f"{100 * tests.loc[one['task'], name]:.1f}" for name in POOL)
            + f" | {titles[one['picked']]} |"
            for one in studied
        ),
        "",
    ]
    write_text(out, "\n".join(lines))
    write_text(out.with_suffix(".csv"), for_csv(frame).to_csv(index=False))
    _draw(table, out.with_suffix(".svg"))


def main_result(table: pd.DataFrame) -> str:
    """What a pick on frozen features gains over always taking one model, in a sentence."""
    always = table[table.index.str.startswith(ALWAYS)]["mean"]
    one, least, own = always.idxmin().removeprefix(ALWAYS), always.min(), table.loc[FROZEN, "mean"]
    than = "better" if own < least else "no better"
    return (
        f"On average a pick on frozen features ({100 * own:.1f} points below the best of the pool) was "
        f"{than} than always taking {one} ({100 * least:.1f})."
    )


def _cut(studied: list[dict[str, Any]]) -> str:
    cut = sum(one["task"].startswith("cifar-") for one in studied)
    return f", of which {cut} are cut from CIFAR-100," if cut else ""


def _draw(table: pd.DataFrame, path: Path) -> None:
    from matplotlib import rcParams
    from matplotlib.figure import Figure

    rcParams["svg.hashsalt"] = "regret"
    table = table.iloc[::-1]
    figure = Figure(figsize=(7.2, 0.34 * len(table) + 1), layout="constrained")
    axes = figure.subplots()
    places = range(len(table))
    axes.hlines(places, 100 * table["mean"], 100 * table["worst"], color=GREY, linewidth=1)
    axes.plot(100 * table["worst"], places, "|", color=GREY, markersize=9, label="worst")
    axes.plot(100 * table["mean"], places, "o", color=BLUE, label="mean")
    axes.set_yticks(list(places), list(table.index))
    axes.set_xlabel("points of test accuracy below the best of the pool")
    axes.set_xlim(left=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="upper right")
    figure.savefig(path, metadata={"Date": None})
