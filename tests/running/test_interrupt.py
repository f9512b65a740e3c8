"""Ctrl-C, at whatever moment it comes: one line, and exit status 130."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Read by the interpreter before anything of the project: sends SIGINT at the import of a module, or a time
# after the project's first.
AT_IMPORT = """
import os, signal, sys, threading
name, delay = os.environ["INTERRUPT_AT"], float(os.environ["INTERRUPT_AFTER"])
def watch(event, arguments):
    global name
    if event == "import" and arguments[0] == name:
        name = None
        if delay:
            threading.Timer(delay, os.kill, (os.getpid(), signal.SIGINT)).start()
        else:
            os.kill(os.getpid(), signal.SIGINT)
sys.addaudithook(watch)
"""
SCRIPT = "import sys; from bench.__main__ import main; sys.exit(main())"


def interrupted(tmp_path, start, *arguments, at, after=0.0):
    """Run a command, with SIGINT at the import of a module or some seconds later."""
    (tmp_path / "sitecustomize.py").write_text(AT_IMPORT)
    env = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)]),
        "INTERRUPT_AT": at,
        "INTERRUPT_AFTER": str(after),
    }
    return subprocess.run(
        [sys.executable, *start, *arguments],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        # A test run in the background ignores SIGINT, and so would what it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


# The command line, interrupted while a string is executed, as in the making of a dataclass.
IN_A_STRING = """
import sys
from bench import cli
from bench.__main__ import main
def during(was_interrupted):
    print("said before")
    try:
        exec("import os, signal; os.kill(os.getpid(), signal.SIGINT)\\nfor i in range(10**6): pass")
    except KeyboardInterrupt:
        sys.exit(130)
cli.main = during
sys.exit(main())
"""

LINE = "vcbench: interrupted\n"
STARTS = {"module": ["-m", "bench"], "script": ["-c", SCRIPT]}


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("at", ["bench.cli", "typer", "bench.cli.scoring"])
def test_while_the_command_line_is_imported(tmp_path, start, at):
    ran = interrupted(tmp_path, STARTS[start], "models", at=at)
    assert (ran.returncode, ran.stdout, ran.stderr) == (130, "", LINE)


@pytest.mark.parametrize("at", ["numpy", "torch", "torch._C", "timm"])
def test_while_a_command_imports_what_it_needs(tmp_path, at):
    ran = interrupted(tmp_path, STARTS["module"], "plan", "quick", "--device", "cpu", at=at)
    assert (ran.returncode, ran.stderr) == (130, LINE)


def test_while_a_string_is_executed(tmp_path):
    (tmp_path / "in_a_string.py").write_text(IN_A_STRING)
    ran = interrupted(tmp_path, ["-m", "in_a_string"], at="nothing")
    assert (ran.returncode, ran.stdout, ran.stderr) == (130, "said before\n", "")


@pytest.mark.parametrize("after", [0.05, 0.2, 0.5, 1.0])
def test_some_time_after_the_start(tmp_path, after):
    start = STARTS["module"]
    ran = interrupted(tmp_path, start, "plan", "quick", "--device", "cpu", at="bench.cli", after=after)
    assert (ran.returncode, ran.stderr) == (130, LINE)
