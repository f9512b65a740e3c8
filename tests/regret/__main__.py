"""Study the regret of picking a backbone: python -m tests.regret [--work DIR] [--data-dir DIR] [--tasks N]"""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from regret.study import main  # noqa: E402

main()
