"""Try every kind of fault, note the figures: python -m tests.faults [--times N] [--seed S] [--out FILE]"""

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from faults.kinds import KINDS, Bench  # noqa: E402

BEGIN, END = "<!-- made by python -m tests.faults -->", "<!-- end -->"
COLUMNS = ("kind", "fault", "times", "wrong", "seed")


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=100, help="kills; of other kinds a tenth")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", choices=KINDS, default=list(KINDS))
    parser.add_argument(
        "--out",
        type=Path,
        help="a page whose table is replaced, such as docs/faults.md; a CSV file beside it keeps the "
        "figures, also of kinds that are not tried now",
    )
    given = parser.parse_args()
    table, found = pd.DataFrame(columns=list(COLUMNS)), 0
    kept = given.out and given.out.with_suffix(".csv")
    if kept and kept.exists():
        table = pd.read_csv(kept, keep_default_na=False)  # one kind is nan
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        bench = Bench.make(Path(folder))
        for kind in given.only:
            # Of its own, so that a kind's moments do not depend on which others are tried.
            bench.random = random.Random(f"{kind} {given.seed}")
            times = given.times if kind in ("kills", "power") else max(1, given.times // 10)
            began, rows = time.monotonic(), []
            for row in KINDS[kind](bench, times):
                rows.append((kind, row.fault, row.times, len(row.found), given.seed))
                found += len(row.found)
                told = f"{row.fault}: {row.times}, {time.monotonic() - began:.0f} s"
                print(told, *row.found[:5], sep="\n  ", file=sys.stderr, flush=True)
            table = with_rows(table, kind, rows)
            if kept:
                table.to_csv(kept, index=False)
                replace_table(given.out, markdown(table))
    if given.out is None:
        print(markdown(table))
    sys.exit(found > 0)


def with_rows(table: pd.DataFrame, kind: str, rows: list[tuple]) -> pd.DataFrame:
    """The table with a kind's rows in place of its earlier ones, in the order of the kinds."""
    rest = [tuple(row) for row in table[table["kind"] != kind].itertuples(index=False)]
    order = list(KINDS)
    rows = sorted(rest + rows, key=lambda row: order.index(row[0]))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def markdown(table: pd.DataFrame) -> str:
    """The figures as they stand in the page."""
    lines = ["| fault | times | what was wrong afterwards |", "| --- | ---: | --- |"]
    for row in table.itertuples():
        wrong = f"{row.wrong} things" if row.wrong else "nothing" if row.times else "not tried"
        lines.append(f"| {row.fault} | {row.times} | {wrong} |")
    missing = [kind for kind in KINDS if kind not in set(table["kind"])]
    seeds = ", ".join(sorted({str(seed) for seed in table["seed"]}))
    lines += ["", f"Seed {seeds}." + (f" Not tried: {', '.join(missing)}." if missing else "")]
    return "\n".join(lines)


def replace_table(page: Path, text: str) -> None:
    """Write it into a page, between the two lines that mark the place."""
    before, _, rest = page.read_text().partition(BEGIN)
    page.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    main()
