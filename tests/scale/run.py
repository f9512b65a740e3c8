"""Time and peak memory of a suite of many jobs: python tests/scale/run.py --jobs 100000 [--json] [--keep DIR]

Jobs are handed to simulated workers, of which some die, by the runner and the queue that `vcbench run` uses;
each writes the record and predictions of a job without training. Then every verb is run as a user runs it, in
a process of its own.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from scale.simulated import write_suite  # noqa: E402

# The most seconds a step may take with 100,000 jobs, and the most memory.
BOUNDS_S = {
    "plan, nothing done": 10,
    "dispatch": None,
    "plan, all done": 10,
    "status": 10,
    "tables": 120,
    "report": 60,
}
BOUND_GIB = 4.0


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--keep", type=Path, help="where the store lies, and stays")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(given.jobs, given.keep or Path(folder))
    if given.json:
        print(json.dumps(rows, indent=1))
        return
    print("| step | jobs | s | of the processor, s | bound, s | peak, GiB |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for row in rows:
        seconds = f"{row['s']:.1f} | {row['cpu_s']:.1f} | {row['bound_s'] or '-'}"
        print(f"| {row['step']} | {row['jobs']:,} | {seconds} | {row['gib']:.2f} |")
    slow = [row["step"] for row in rows if row["s"] > (row["bound_s"] or 1e9) or row["gib"] > BOUND_GIB]
    sys.exit(f"beyond the bounds: {', '.join(slow)}" if slow else 0)


def measure(jobs: int, folder: Path) -> list[dict]:
    """One row a step."""
    folder.mkdir(parents=True, exist_ok=True)
    suite = folder / "scale.toml"
    jobs = write_suite(suite, jobs)
    vcbench = ["-m", "bench"]
    named = [str(suite), "--data-dir", str(folder), "--device", "cpu", "--results", "store"]
    again = [__file__.replace("run.py", "dispatch.py"), str(suite)]
    steps = {
        "plan, nothing done": [*vcbench, "plan", *named],
        "dispatch": again,
        "plan, all done": [*vcbench, "plan", *named],
        "status": [*vcbench, "status", "--results", "store"],
        "tables": [*vcbench, "tables", "--results", "store"],
        "report": [*vcbench, "report", "scale", "--results", "store", "--out", "report"],
    }
    rows = []
    for step, arguments in steps.items():
        seconds, cpu, gib = measured([sys.executable, *arguments], folder)
        rows.append(
            {"step": step, "jobs": jobs, "s": seconds, "cpu_s": cpu, "bound_s": BOUNDS_S[step], "gib": gib}
        )
        print(rows[-1], file=sys.stderr)
    return rows


def measured(command: list[str], folder: Path) -> tuple[float, float, float]:
    """Seconds, seconds of the processor and GiB of a command that ends well."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    began = time.perf_counter()
    with (folder / "out.txt").open("w") as out:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=out)
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)}: {(folder / 'out.txt').read_text()[-2000:]}")
    return time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 2**20


if __name__ == "__main__":
    main()
