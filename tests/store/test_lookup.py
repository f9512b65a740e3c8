"""What a store knows of a run, and the command that would run its suite again."""

import shlex
from pathlib import Path

import pytest
from small_store import listing

from bench.store.lookup import run_command


@pytest.mark.parametrize("name", ["mine.toml", "my suite.toml", "-x.toml"])
@pytest.mark.parametrize("place", ["elsewhere", "suites"])
def test_a_suite_of_ones_own_is_called_by_its_file_as_it_lies_from_here(tmp_path, monkeypatch, name, place):
    file, store, here = tmp_path / "suites" / name, tmp_path / "results", tmp_path / place
    for folder in (file.parent, store, here):
        folder.mkdir(exist_ok=True)
    file.touch()
    monkeypatch.chdir(here)
    of_it = listing(suite=f"{file.stem}+0a1b2c", settings=["title=two words"], file=f"../suites/{name}")
    words = shlex.split(run_command(of_it, store))
    assert words[:2] == ["vcbench", "run"] and words[3:] == ["--set", "title=two words"]
    assert Path(words[2]).resolve() == file and not words[2].startswith("-")


def test_a_suite_that_comes_with_the_harness_is_called_by_its_name(tmp_path):
    assert run_command(listing(suite="quick"), tmp_path) == "vcbench run quick"
