"""How long a folder of many images takes to be planned, and how much memory.

    python tests/perf/many_files.py 1000000 many

The images are of 12 x 12 px, all different, in 1000 classes; they stay for the next time. As photographs do,
they have more than half of the input's size (16 px): of smaller ones every header is read, to learn how large
they need to be stored. The folder is planned twice: the first time every file is read, the second nothing has
changed.
"""

import io
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

from PIL import Image

CLASSES = 1000
SUITE = """
title = "many files"
description = "to be planned"
[models]
vit = {{ model = "vit_digits", weights = "none" }}
[[comparison]]
name = "many"
dataset = "folder:{folder}"
contestants = ["vit"]
recipe = "scratch"
shots = [1, 5, "all"]
replicates = 3
input_size = 16
"""


def fill(folder: Path, count: int) -> None:
    """Make the images that are not there yet."""
    content = io.BytesIO()
    Image.new("RGB", (12, 12)).save(content, "BMP")
    for label in range(CLASSES):
        of_class = folder / f"{label:04d}"
        if of_class.exists():
            continue
        of_class.mkdir(parents=True)
        for i in range(count // CLASSES):
            pixels = (label * 1_000_000 + i).to_bytes(8, "little")
            (of_class / f"{i:06d}.bmp").write_bytes(content.getvalue()[:-8] + pixels)


def main() -> None:
    count, folder = int(sys.argv[1]), Path(sys.argv[2]).resolve()
    fill(folder / str(count), count)
    suite, cache = folder / "many.toml", folder / f"cache-{os.getpid()}"
    suite.write_text(SUITE.format(folder=folder / str(count)))
    command = [sys.executable, "-m", "bench", "plan", str(suite), "--results", str(cache / "results")]
    for when in ("first", "again"):
        began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, env={**os.environ, "VCBENCH_CACHE": str(cache)}, check=True)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
        wall = time.perf_counter() - began
        print(
            f"{when}: {wall:.1f} s, {cpu:.1f} s of a CPU, at most {used.ru_maxrss / 1e6:.2f} GB", flush=True
        )


if __name__ == "__main__":
    main()
