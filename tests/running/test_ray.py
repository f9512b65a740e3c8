"""Jobs on a real Ray cluster of three nodes, one of which dies."""

import time

import pytest

from bench.errors import InputError
from bench.running.engines import choose_engine
from bench.running.engines.in_process import InProcess
from bench.running.parcels import unpack
from bench.running.runner import run_suite
from bench.running.workspace import Workspace
from bench.spec.suite import load_suite
from bench.store.run_store import RunStore
from bench.training.observer import Silent

ray = pytest.importorskip("ray")

SUITE = """
title = "t"
description = "d"
[models]
student = { model = "vit_micro_distilled_patch4_32", recipe = "deit", set = { "distill.teacher" = "resnet" } }
vit = { model = "vit_digits" }
resnet = { model = "resnet_digits" }
[[comparison]]
name = "c"
dataset = "digits"
contestants = ["student", "vit", "resnet"]
recipe = "scratch"
shots = [20]
replicates = 2
input_size = 16
unmatched = "for tests"
set = { "budget.epochs" = 1, "budget.min_steps" = 40, "budget.batch_size" = 16, "augment.flip" = false }
"""


@pytest.fixture(scope="module")
def cluster():
    from ray.cluster_utils import Cluster

    one = {"num_cpus": 1, "object_store_memory": 80_000_000}
    cluster = Cluster(initialize_head=True, head_node_args={**one, "include_dashboard": False})
    for _ in range(2):
        cluster.add_node(**one)
    ray.init(address=cluster.address, log_to_driver=False)
    cluster.wait_for_nodes()
    yield cluster
    ray.shutdown()
    cluster.shutdown()


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    path = tmp_path_factory.mktemp("suite") / "mine.toml"
    path.write_text(SUITE)
    return load_suite(str(path))


def run(suite, folder, engine, *, follow=lambda job: Silent(), should_stop=lambda: False):
    outcomes = []
    workspace = Workspace(folder, folder, folder / "results", "cpu")
    counts = run_suite(
        suite, workspace, engine, follow=follow, should_stop=should_stop, ended=outcomes.append
    )
    return RunStore(workspace.results), outcomes, counts


def contents(store):
    """Of each trial the digest of its weights, of each evaluation its predictions, byte for byte."""
    trials = {run: store.trial(run).weights_sha256 for run in store.names("runs")}
    evaluations = store.names("evaluations")
    return trials, {one: store.predictions_of("evaluations", one).read_bytes() for one in evaluations}


@pytest.fixture(scope="module")
def alone(suite, tmp_path_factory):
    """What one process on one machine comes to."""
    store, _, counts = run(suite, tmp_path_factory.mktemp("alone"), InProcess())
    assert counts["finished"] == 6
    return contents(store)


def engine(**options):
    made = choose_engine((), "cpu", None, "ray")
    for name, value in options.items():
        setattr(made, name, value)
    return made


def leftovers(store):
    """Files that only unfinished jobs have, and locks that somebody holds."""
    unfinished = [path for pattern in ("checkpoint*", "*.part*") for path in store.root.rglob(pattern)]
    return unfinished + [path for path in (store.root / ".locks").glob("ray-*")]


class Seen(Silent):
    """Counts the progress of all jobs."""

    def __init__(self, phases):
        self.phases = phases

    def progress(self, phase, done, total, **numbers):
        self.phases.append(phase)


@pytest.mark.parametrize("shared", [True, False])
def test_the_numbers_are_those_of_one_process(cluster, suite, alone, tmp_path, shared):
    phases = []
    made = engine(shared=shared)
    assert made.description == "Ray, 3 nodes with 3 cores"
    store, outcomes, counts = run(suite, tmp_path, made, follow=lambda job: Seen(phases))
    assert contents(store) == alone and counts["finished"] == 6
    ended = [(outcome.job.id, outcome.status) for outcome in outcomes]
    assert len(ended) == len({run for run, _ in ended}) == 12 and {one for _, one in ended} == {"finished"}
    assert not leftovers(store) and any("train" in phase for phase in phases)
    again, outcomes, counts = run(suite, tmp_path, made)
    assert not outcomes and contents(again) == alone


def test_what_a_dead_node_had_in_hand_is_done_elsewhere(cluster, suite, alone, tmp_path):
    doomed = cluster.add_node(num_cpus=2, resources={"doomed": 1})
    cluster.wait_for_nodes()
    seen = []

    class Killer(Silent):
        def progress(self, phase, done, total, **numbers):
            seen.append(phase)
            if len(seen) == 12:
                cluster.remove_node(doomed, allow_graceful=False)

    store, outcomes, counts = run(suite, tmp_path, engine(), follow=lambda job: Killer())
    assert len(seen) >= 12
    # On a busy machine the cluster takes a while to know that the node is dead.
    end = time.monotonic() + 60
    while (alive := sum(node["Alive"] for node in ray.nodes())) != 3 and time.monotonic() < end:
        time.sleep(0.2)
    assert alive == 3
    assert contents(store) == alone and counts["finished"] == 6 and not leftovers(store)
    finished = [outcome.job.id for outcome in outcomes if outcome.status == "finished"]
    assert len(finished) == len(set(finished))


@pytest.mark.parametrize("shared", [True, False])
def test_a_stop_keeps_what_is_begun_and_the_next_run_goes_on(cluster, suite, alone, tmp_path, shared):
    stop = []

    class Stopper(Silent):
        def progress(self, phase, done, total, **numbers):
            if "train" in phase and done > 5:
                stop.append(time.monotonic())

        def should_stop(self):
            return bool(stop)

    made = engine(shared=shared)
    store, outcomes, counts = run(
        suite, tmp_path, made, follow=lambda job: Stopper(), should_stop=lambda: bool(stop)
    )
    assert counts["stopped"] and counts["finished"] < 6
    stopped = [outcome.job for outcome in outcomes if outcome.status == "stopped"]
    assert any(store.files_of(job).checkpoint.exists() for job in stopped)
    store, _, _ = run(suite, tmp_path, made)
    assert contents(store) == alone and not leftovers(store)


def test_what_cannot_be_done_is_one_line(cluster, tmp_path):
    with pytest.raises(InputError, match="no node of the cluster has a GPU"):
        choose_engine((), "cuda", None, "ray")
    with pytest.raises(InputError, match="--address 10.0.0.1:6379: goes with --engine ray"):
        choose_engine((), "cpu", None, address="10.0.0.1:6379")
    with pytest.raises(InputError, match="no node shares mps"):
        choose_engine((), "mps", None, "ray")


def test_a_file_from_another_machine_stays_in_the_store(tmp_path):
    store = RunStore(tmp_path / "results")
    with pytest.raises(Exception, match="leads out of the store"):
        unpack({"runs/../../away.json": b"{}"}, store)
    assert not (tmp_path / "away.json").exists()
