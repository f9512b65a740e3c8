"""What every test shares: a private cache, and the real data where it is."""

import os
from pathlib import Path

# Small networks on two threads are slower than on one, many times so on a busy machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest  # noqa: E402

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session", autouse=True)
def private_cache(tmp_path_factory):
    """Caches of one test run are its own."""
    folder = tmp_path_factory.mktemp("cache")
    os.environ["VCBENCH_CACHE"] = str(folder)
    return folder


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of the real datasets and weights."""
    for folder in (os.environ.get("VCBENCH_DATA"), ROOT / ".data", ROOT / "data"):
        if folder and (Path(folder) / "flowers-102" / "setid.mat").is_file():
            return Path(folder)
    pytest.skip("the real datasets are not here")
