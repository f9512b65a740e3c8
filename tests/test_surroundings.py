"""Where the command line runs: terminals without letters, pipes nobody reads, users without a home."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.errors import InputError
from bench.files import cache_dir

ROOT = Path(__file__).parent.parent
TITLE = "Größe und Maß"


def start(*arguments, **how):
    env = {**os.environ, "PYTHONPATH": str(ROOT), **how.pop("env", {})}
    return subprocess.Popen(
        [sys.executable, *arguments], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **how
    )


def test_letters_that_the_output_does_not_have_are_replaced(tmp_path):
    """Of the command line itself, with a command that prints some."""
    code = (
        "import sys, bench.cli, bench.cli.catalogue as c; sys.argv[1:] = ['models'];"
        f"c.print_columns = lambda *a, **k: print({TITLE!r}); bench.cli.main()"
    )
    process = start("-c", code, cwd=tmp_path, env={"PYTHONIOENCODING": "ascii"})
    out, err = process.communicate()
    assert (process.returncode, err) == (0, b"")
    assert out.splitlines()[0] == b"Gr??e und Ma?"


def test_a_pipe_that_nobody_reads_any_more_is_no_error(tmp_path):
    process = start("-u", "-m", "bench", "models", cwd=tmp_path)
    process.stdout.close()
    err = process.stderr.read()
    assert process.wait() in (0, 1) and err == b""


@pytest.mark.parametrize("folder", ["bench", "models", "vcbench"])
def test_a_folder_of_ones_own_does_not_stand_in_for_ours(tmp_path, folder):
    (tmp_path / folder / "cli").mkdir(parents=True)
    (tmp_path / folder / "resnet_digits.toml").write_text("title = 3")
    code = "import vcbench, bench.__main__; print(vcbench.load_suite('quick').name); bench.__main__.main()"
    for arguments in (("-m", "bench", "models"), ("-c", code, "models")):
        out, err = start(*arguments, cwd=tmp_path).communicate()
        assert b"resnet_digits" in out and err == b""


def test_a_user_without_a_home_is_told_of_the_cache(monkeypatch):
    for name in ("HOME", "USERPROFILE", "VCBENCH_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    pwd = pytest.importorskip("pwd")

    def nobody(uid):
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    with pytest.raises(InputError, match="set VCBENCH_CACHE") as told:
        cache_dir()
    assert "\n" not in str(told.value)
