"""What grows with the number of jobs grows no faster than they do; the work is counted, not timed."""

import shutil
import sys
from collections import Counter

import pytest
from scale.dispatch import dispatch
from scale.simulated import Pretending, workspace_of, write_suite

from bench.files import cache_dir
from bench.planning.plan import Resolver
from bench.planning.stage import Stage
from bench.running.queue import Queue
from bench.running.runner import chosen
from bench.spec.suite import load_suite
from bench.store.run_store import RunStore
from bench.tables.tables import build_tables

SMALL, LARGE = 500, 1500


def calls(work):
    """How many functions are called meanwhile."""
    counted = Counter()

    def count(frame, event, argument):
        counted["calls"] += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return counted["calls"]


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """Two suites, all of their jobs done, some after an error."""
    made = {}
    for jobs in (SMALL, LARGE):
        folder = tmp_path_factory.mktemp(f"jobs{jobs}")
        assert write_suite(folder / "scale.toml", jobs) == jobs
        handed_out = dispatch(folder / "scale.toml", workers=100, failing=0.02)
        assert jobs < handed_out < 1.1 * jobs
        made[jobs] = folder
    return made


def planned(folder):
    suite = load_suite(str(folder / "scale.toml"))
    store = RunStore(folder / "store")
    return Stage(suite, chosen(suite, None, ()), Resolver(folder, folder, store.root), store)


def test_every_job_is_done_once_whatever_failed(stores):
    for jobs, folder in stores.items():
        stage = planned(folder)
        assert len(stage.jobs) == jobs and all(map(stage.store.has, stage.jobs))
        assert not list(folder.glob("store/*/*/error.json"))
        rows = build_tables(stage.store)["accuracy"]
        conditions = jobs // len(stage.trials) - 1
        assert len(rows) == len(stage.trials) * conditions and not rows.duplicated(["run", "condition"]).any()


@pytest.mark.parametrize("what", ["plan", "has", "tables", "queue"])
def test_work_grows_with_the_jobs(stores, what):
    def work(folder):
        stage = planned(folder)
        store, jobs = RunStore(folder / "store"), stage.jobs
        workspace = workspace_of(folder.parent / f"{folder.name}-queue")
        pretending = Pretending(100, failing=1)
        return {
            "plan": lambda: planned(folder).jobs,
            "has": lambda: [store.has(job) for job in jobs],
            "tables": lambda: build_tables(store),
            "queue": lambda: list(pretending.run(Queue(jobs), workspace, None)),
        }[what]

    few, many = (calls(work(stores[jobs])) for jobs in (SMALL, LARGE))
    assert many < 1.2 * LARGE / SMALL * few


def test_what_was_checked_is_known_until_it_is_touched(stores):
    folder = stores[LARGE]
    jobs = planned(folder).jobs

    def looked_at():
        store = RunStore(folder / "store")
        return calls(lambda: [store.has(job) for job in jobs]), store

    shutil.rmtree(cache_dir() / "checked")
    first, store = looked_at()
    store.keep_checked()
    assert looked_at()[0] < first / 2
    path = store.files_of(jobs[0]).record
    content = path.read_text()
    path.write_text(content.replace('"outcome": "finished"', '"outcome": "finishes"'))
    assert not RunStore(folder / "store").has(jobs[0])
    path.write_text(content)
    assert RunStore(folder / "store").has(jobs[0])
