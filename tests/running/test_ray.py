"""Jobs on a real Ray cluster of three nodes, one of which dies."""

import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from bench.cli.progress import Stop
from bench.cli.running import refuse_gpus, run_and_tabulate
from bench.errors import DeviceError, InputError, StoreError
from bench.machine import choose_device
from bench.planning.plan import Resolver, trials_of
from bench.running import runner
from bench.running.engines import choose_engine
from bench.running.engines.in_process import InProcess
from bench.running.engines.ray import _node_named, _outcome
from bench.running.parcels import unpack
from bench.running.queue import Queue
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


def first_job(suite, folder):
    """A job, where it is done, and what is to come after it."""
    workspace = Workspace(folder, folder, folder / "results", "cpu")
    workspace.store.prepare()
    return Resolver(folder, folder, None).resolve_all(trials_of(suite))[0], workspace


def test_a_stop_is_heeded_while_the_cluster_has_no_room(cluster, suite, tmp_path):
    """Others hold every core, for a minute."""

    @ray.remote(num_cpus=1)
    def busy():
        time.sleep(60)

    others = [busy.remote() for _ in range(3)]
    while ray.available_resources().get("CPU"):
        time.sleep(0.2)
    asked = []

    def should_stop():
        asked.append(time.monotonic())
        return len(asked) > 5

    job, workspace = first_job(suite, tmp_path)
    outcomes = list(engine().run(Queue([job], should_stop=should_stop), workspace, lambda _: Silent()))
    assert [outcome.status for outcome in outcomes] == ["stopped"]
    assert workspace.store.error(job.id) is None and not leftovers(workspace.store)
    for other in others:
        ray.cancel(other, force=True)


def test_a_stop_is_heeded_when_the_node_of_a_job_has_died_and_no_other_has_room(cluster, suite, tmp_path):
    @ray.remote(num_cpus=1)
    def busy():
        time.sleep(120)

    others = [busy.remote() for _ in range(3)]
    while ray.available_resources().get("CPU"):
        time.sleep(0.2)
    doomed = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    died = []

    class Killer(Silent):
        def progress(self, phase, done, total, **numbers):
            if "train" in phase and not died:
                died.append(time.monotonic())
                cluster.remove_node(doomed, allow_graceful=False)

    def should_stop():
        return bool(died) and sum(node["Alive"] for node in ray.nodes()) == 3

    job, workspace = first_job(suite, tmp_path)
    outcomes = list(engine().run(Queue([job], should_stop=should_stop), workspace, lambda _: Killer()))
    assert died and [outcome.status for outcome in outcomes] == ["stopped"]
    assert not ray.available_resources().get("CPU"), "the others hold their cores still"
    assert workspace.store.error(job.id) is None
    for other in others:
        ray.cancel(other, force=True)


def test_sigterm_is_a_clean_stop(cluster, tmp_path):
    (tmp_path / "mine.toml").write_text(SUITE)
    command = [sys.executable, "-m", "bench", "run", "mine.toml", "--device", "cpu", "--engine", "ray"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(
        [*command, "--address", cluster.address],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert any("trials to do" in line for line in process.stderr)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=300)
    assert process.returncode == 128 + signal.SIGTERM and "the same command continues" in out, err


def test_a_gpu_of_another_node_is_used_and_what_no_node_has_is_refused(cluster, suite, tmp_path, monkeypatch):
    node = cluster.add_node(num_cpus=1, num_gpus=2, object_store_memory=80_000_000)
    cluster.wait_for_nodes()
    made = {}

    def run_suite(suite, workspace, engine, *, measuring_device, **_):
        made.update(device=workspace.device, engine=engine, measured=measuring_device)
        raise InputError("seen")

    monkeypatch.setattr(runner, "run_suite", run_suite)

    def asked(device, gpus=1):
        with pytest.raises(InputError) as error:
            run_and_tabulate(
                *(suite, None, tmp_path / "results"),
                **{"data_dir": tmp_path, "weights_dir": None, "device": device, "replicates": None},
                **{"only": (), "jobs": None, "engine": "ray", "stop": Stop(None), "warn": print},
                gpus_per_trial=gpus,
            )
        return str(error.value)

    for device in ("auto", "cuda"):
        assert asked(device) == "seen" and "2 GPUs" in made["engine"].description
        assert (made["device"], made["measured"]) == ("cuda", choose_device("auto"))
    assert asked("cpu") == "seen" and made["device"] == "cpu"
    assert asked("auto", 4) == "--engine ray: no node of the cluster has 4 GPUs; the most is 2"
    refuse_gpus(2, "cuda", "ray", None)
    job, workspace = first_job(suite, tmp_path)
    with pytest.raises(InputError, match="no node of the cluster has 3 GPUs and 1 CPUs; the most is 2, 1"):
        wide = Workspace(tmp_path, tmp_path, workspace.results, "cuda", 3)
        next(choose_engine((), "cuda", None, "ray").run(Queue([job]), wide, lambda _: Silent()))
    cluster.remove_node(node)


def test_without_an_address_it_begins_a_cluster_of_its_own(cluster):
    """Also where one runs that `ray start` has begun, whose address Ray finds in a file."""
    code = (
        "from bench.running.ray_cluster import connect, nodes; connect(None); import ray; "
        "print(len(nodes()), ray.get_runtime_context().gcs_address)"
    )
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # a short path: of sockets
        found = Path(folder, "ray", "ray_current_cluster")
        found.parent.mkdir()
        found.write_text(cluster.address)
        environment = os.environ | {"RAY_TMPDIR": folder, "PYTHONPATH": str(Path(__file__).parents[2])}
        environment.pop("RAY_ADDRESS", None)
        ended = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300
        )
    count, address = ended.stdout.split()
    assert count == "1" and address != cluster.address, ended.stderr


def test_what_cannot_be_done_is_one_line(cluster, tmp_path):
    with pytest.raises(InputError, match="no node of the cluster has a GPU"):
        choose_engine((), "cuda", None, "ray")
    with pytest.raises(InputError, match="--address 10.0.0.1:6379: goes with --engine ray"):
        choose_engine((), "cpu", None, address="10.0.0.1:6379")
    with pytest.raises(InputError, match="no node shares mps"):
        choose_engine((), "mps", None, "ray")


@pytest.mark.parametrize(
    ("error", "kind"), [(DeviceError("broken"), DeviceError), (OSError(28, "No space left"), StoreError)]
)
def test_what_ends_the_run_names_the_node(cluster, error, kind):
    @ray.remote(num_cpus=0)
    def fail():
        with _node_named():
            raise error

    with pytest.raises(kind) as seen:
        _outcome(fail.remote(), None, None)
    assert str(seen.value) == f"{error} (on node {platform.node()})"


def test_a_file_from_another_machine_stays_in_the_store(tmp_path):
    store = RunStore(tmp_path / "results")
    with pytest.raises(Exception, match="leads out of the store"):
        unpack({"runs/../../away.json": b"{}"}, store)
    assert not (tmp_path / "away.json").exists()
