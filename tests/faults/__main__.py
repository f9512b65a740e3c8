"""Try every kind of fault, print the figures: python -m tests.faults [--times N] [--seed S] [--out FILE]"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from faults.kinds import KINDS, Bench, Row  # noqa: E402

BEGIN, END = "<!-- made by python -m tests.faults -->", "<!-- end -->"


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=100, help="kills; of other kinds a tenth")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", choices=KINDS, default=list(KINDS))
    parser.add_argument("--out", type=Path, help="a page whose table is replaced, such as docs/faults.md")
    given = parser.parse_args()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        bench = Bench.make(Path(folder), given.seed)
        for kind in given.only:
            times = given.times if kind in ("kills", "power") else max(1, given.times // 10)
            began = time.monotonic()
            for row in KINDS[kind](bench, times):
                rows.append(row)
                print(
                    line(row),
                    f"{time.monotonic() - began:.0f} s",
                    *row.found[:5],
                    sep="\n  ",
                    file=sys.stderr,
                )
    table = "\n".join(
        ["| fault | times | what was wrong afterwards |", "| --- | ---: | --- |", *map(line, rows)]
    )
    if given.out is None:
        print(table)
    else:
        before, _, rest = given.out.read_text().partition(BEGIN)
        text = f"{before}{BEGIN}\n\n{table}\n\nSeed {given.seed}.\n{END}{rest.partition(END)[2]}"
        given.out.write_text(text)
    sys.exit(any(row.found for row in rows))


def line(row: Row) -> str:
    """A row of the table."""
    outcome = "nothing" if not row.found else f"{len(row.found)} things"
    return f"| {row.fault} | {row.times} | {outcome} |"


if __name__ == "__main__":
    main()
