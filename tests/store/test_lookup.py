"""What a store knows of a run, and the command that would run its suite again."""

import shlex
from pathlib import Path

import pytest
from small_store import listing

from bench.store.lookup import own_images, run_command
from bench.store.run_store import RunStore


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


def test_own_images_of_a_trial_and_of_a_search_job_are_found(tmp_path):
    trial, job, folder = "0" * 16, "1" * 16, "folder:/photos"
    comparison = {"name": "mine", "dataset": "photos", "images": folder}
    tried = {"values": {"optimizer.lr": 0.1}, "rung": 0, "share": 1.0, "extended": False, "jobs": [job]}
    search = {"comparison": "mine", "contestant": "a", "shots": 5, "for_shots": [5], "tried": [tried]}
    search |= {"chosen": None, "edge": None}
    RunStore(tmp_path).write_suite(
        listing(
            contestants={"a": {}},
            comparisons=[comparison],
            trials=[{"id": trial, "comparison": "mine", "contestant": "a"}],
            searches=[search],
        )
    )
    store = RunStore(tmp_path)
    assert [own_images(store, one) for one in (trial, job, "2" * 16)] == [folder, folder, None]
