"""Hand the jobs of a suite to simulated workers, until none is left: dispatch.py SUITE [WORKERS] [FAILING]"""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from scale.simulated import Pretending, workspace_of  # noqa: E402

from bench.running.runner import run_suite  # noqa: E402
from bench.spec.suite import load_suite  # noqa: E402
from bench.training.observer import Silent  # noqa: E402


def dispatch(suite: Path, workers: int = 1000, failing: float = 0.01) -> int:
    """Returns how many jobs were handed out, those that failed and came again among them."""
    workspace, engine = workspace_of(suite.parent), Pretending(workers, failing)
    while run_suite(
        load_suite(str(suite)),
        workspace,
        engine,
        follow=lambda job: Silent(),
        should_stop=lambda: False,
        file=suite,
    )["errored"]:
        pass
    return engine.ended


if __name__ == "__main__":
    print(dispatch(Path(sys.argv[1]), *map(float, sys.argv[2:])), "jobs were handed out")
