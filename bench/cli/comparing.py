"""vcbench compare: what changed between two run stores."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli.common import Json, existing_store, print_columns, print_json
from bench.errors import InputError

if TYPE_CHECKING:
    from bench.analysis.changes import Change

FAIL_ON = ("never", "regression")


def compare(
    before: Annotated[Path, typer.Argument(metavar="A", help="The run store to compare with.")],
    after: Annotated[Path, typer.Argument(metavar="B", help="The run store that may have changed.")],
    suite: Annotated[
        str | None, typer.Option("--suite", help="Only this suite [default: all that both hold].")
    ] = None,
    variant: Annotated[
        str | None,
        typer.Option("--variant", metavar="SUITE+HASH", help="What B calls the suite; A and B may be one."),
    ] = None,
    figure: Annotated[
        Path | None, typer.Option("--figure", metavar="FILE", help="Draw it, as .svg, .png or .pdf.")
    ] = None,
    fail_on: Annotated[
        str,
        typer.Option(
            "--fail-on", help="never, or regression: exit status 1 where B is worse or lacks a cell."
        ),
    ] = "never",
    as_json: Json = False,
) -> None:
    """Say what changed from store A to store B, cell by cell, and whether by more than noise.

    Replicates with the same seeds are paired, image by image. Verdicts allow for all cells together (Holm,
    5 %): better, worse, equivalent within the suite's delta, or inconclusive; identical where every
    prediction is the same. Intervals are plain 95 % intervals. Fewer than three replicates get no verdict,
    and cannot be a regression; a cell or a whole suite that was measured in A and not in B is one, as nobody
    can say that it is not worse.

    A committed store as it was at a tag: git worktree add ../before v0.1.0, then
    vcbench compare ../before/results/published results/published

    Two settings of one suite: vcbench compare results results --suite quick --variant quick+1a2b3c

    Example: vcbench compare results/published results --fail-on regression
    """
    from bench.analysis.changes import changed_costs, find_changes
    from bench.store.run_store import RunStore

    if fail_on not in FAIL_ON:
        raise InputError(f"--fail-on {fail_on}: should be {' or '.join(FAIL_ON)}")
    if variant and not suite:
        raise InputError(f"--variant {variant}: needs --suite, the name that A has for it")
    old, new = (RunStore(existing_store(path)) for path in (before, after))
    changes = find_changes(old, new, suite, variant)
    costs = changed_costs(old, new)
    listings = new.suites()
    if figure:
        from bench.report.changes import draw_changes

        draw_changes(changes, max((listings[c.suite].delta for c in changes), default=0.0), figure)
    if as_json:
        print_json({"changes": [asdict(change) for change in changes], "costs": costs})
    else:
        _print(changes, costs)
    known = new.suites()
    gone = [] if suite else [name for name in old.suites() if name not in known]
    for name in gone:
        print(f"vcbench: lost: suite {name}: run in A and not in B", file=sys.stderr)
    if fail_on == "regression":
        cells = [change for change in changes if change.runs_before and not change.runs_after]
        for change in cells:
            print(f"vcbench: lost: {change.cell}: measured in A and not in B", file=sys.stderr)
        lost = [*gone, *cells]
        if not lost and all(change.verdict == "none" for change in changes):
            print("vcbench: warning: no cell allows a verdict, so none can be a regression", file=sys.stderr)
        if lost or any(change.verdict == "worse" for change in changes):
            raise typer.Exit(1)


def _print(changes: "list[Change]", costs: list[dict[str, Any]]) -> None:
    rows = [
        (
            change.suite,
            change.comparison,
            change.contestant,
            "all" if change.shots is None else change.shots,
            change.replicates,
            _percent(change.before),
            _percent(change.after),
            "-" if change.difference is None else f"{100 * change.difference:+.2f}",
            _interval(change),
            "no verdict" if change.verdict == "none" else change.verdict,
            change.note,
        )
        for change in changes
    ]
    header = (
        "SUITE",
        "COMPARISON",
        "MODEL",
        "SHOTS",
        "N",
        "A %",
        "B %",
        "B-A",
        "INTERVAL",
        "VERDICT",
        "NOTE",
    )
    print_columns(rows, header)
    for cost in costs:
        network = f"{cost['model']}, {cost['classes']} classes, {cost['input_size']} px"
        print(f"cost changed: {network}: {cost['what']} {cost['before']:,}, now {cost['after']:,}")
    counts = {name: sum(change.verdict == name for change in changes) for name in _ORDER}
    by_verdict = ", ".join(f"{count} {_ORDER[name]}" for name, count in counts.items() if count)
    print(f"\n{len(changes)} cells: {by_verdict or 'nothing to compare'}")


_ORDER = {
    "worse": "worse",
    "better": "better",
    "equivalent": "equivalent",
    "identical": "identical",
    "inconclusive": "inconclusive",
    "none": "without a verdict",
}


def _percent(fraction: float | None) -> str:
    return "-" if fraction is None else f"{100 * fraction:.2f}"


def _interval(change: "Change") -> str:
    if change.low is None or change.high is None:
        return "-"
    return f"{100 * change.low:+.2f} to {100 * change.high:+.2f}"
