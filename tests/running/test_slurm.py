"""Scripts for Slurm; and, where Slurm is installed, a small cluster of this machine that runs them."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.running.slurm import tasks
from bench.store.run_store import RunStore

ROOT = Path(__file__).parents[2]
SUITE = """
title = "t"
description = "d"
[models]
vit = { model = "vit_digits" }
resnet = { model = "resnet_digits" }
[[comparison]]
name = "c"
dataset = "digits"
contestants = ["vit", "resnet"]
recipe = "scratch"
shots = ["all"]
replicates = 2
input_size = 16
set = { "budget.epochs" = 3, "budget.batch_size" = 16, "augment.flip" = false }
"""


@pytest.fixture
def mine(vcbench, tmp_path):
    (tmp_path / "mine.toml").write_text(SUITE)


def test_the_script_asks_for_what_was_said_and_runs_the_same_command(mine, vcbench, tmp_path):
    status, out, err = vcbench(
        *("run", "mine.toml", "--engine", "slurm", "--jobs", "3", "--time", "1h30m", "--partition", "gpu"),
        *("--account", "us", "--gpus", "1", "--cpus", "4", "--only", "vit", "--set", "delta=0.02"),
        *("--data-dir", "my data", "--dry-run"),
    )
    assert status == 0, err
    asked = dict(
        line.removeprefix("#SBATCH --").partition("=")[::2] for line in out.splitlines() if "#SBATCH" in line
    )
    assert asked["array"] == "0-2" and asked["time"] == "1:30:00" and asked["gpus"] == "1"
    assert (asked["partition"], asked["account"], asked["cpus-per-task"]) == ("gpu", "us", "4")
    assert asked["signal"] == "USR1@120" and "requeue" in asked
    command = next(line for line in out.splitlines() if line.startswith("srun"))
    assert command.startswith("srun --ntasks=1 --cpus-per-task=4 /")
    assert command.endswith(
        f"-m bench run mine.toml --results {tmp_path / 'results'} --data-dir 'my data' --device auto "
        "--set delta=0.02 --only vit"
    )
    assert subprocess.run(["bash", "-n"], input=out, text=True, check=True).returncode == 0
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (
            ("--engine", "slurm", "--jobs", "auto", "--dry-run"),
            "--jobs auto: with --engine slurm say how many",
        ),
        (("--engine", "slurm", "--time", "2m", "--dry-run"), "--time 120s: should be 4m or more"),
        (("--engine", "slurm", "--time", "soon", "--dry-run"), "--time soon: should be a duration"),
        (
            ("--engine", "slurm", "--partition", "a b", "--dry-run"),
            "--partition 'a b': should have no spaces",
        ),
        (("--partition", "gpu"), "--partition: goes with --engine slurm"),
        (("--dry-run",), "--dry-run: goes with --engine slurm"),
    ],
)
def test_bad_input_is_one_line(mine, vcbench, arguments, error):
    status, out, err = vcbench("run", "mine.toml", *arguments)
    assert status == 2 and error in err and err.count("\n") == 1 and not out


def test_without_slurm_it_says_so(mine, vcbench, monkeypatch):
    monkeypatch.setenv("PATH", "")
    status, _, err = vcbench("run", "mine.toml", "--engine", "slurm")
    assert status == 2 and "there is no sbatch here; --dry-run prints the script" in err


def test_status_goes_on_where_slurm_does_not_answer(mine, vcbench, tmp_path, monkeypatch):
    assert vcbench("run", "mine.toml", "--only", "profiles", "--device", "cpu")[0] == 0
    commands = tmp_path / "bin"
    commands.mkdir()
    (commands / "squeue").write_text("#!/bin/sh\necho 'Unable to contact slurm controller' >&2\nexit 1\n")
    (commands / "squeue").chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}:{os.environ['PATH']}")
    (tmp_path / "results" / "slurm").mkdir()
    (tmp_path / "results" / "slurm" / "7.sh").write_text("")
    status, out, err = vcbench("status")
    assert status == 0 and "mine" in out and "squeue: Unable to contact slurm controller" in err
    (commands / "squeue").write_text(
        "#!/bin/sh\necho '7|0|RUNNING|1:02|node3'; echo '8|0|PENDING|0:00|(None)'\n"
    )
    status, out, err = vcbench("status")
    assert status == 0 and "node3" in out and "PENDING" not in out and not err


CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmdPort={next_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait=30
MailProg=/bin/true
ReturnToService=2
SchedulerParameters=bf_interval=1,sched_interval=1
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=low Nodes={host} Default=YES State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=60
PartitionName=high Nodes={host} State=UP PriorityTier=10 PreemptMode=OFF
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Slurm on this machine, with a partition that preempts the other."""
    if os.name != "posix" or os.geteuid() or not all(map(shutil.which, ("slurmctld", "slurmd", "munged"))):
        pytest.skip("needs root and Slurm: apt-get install slurm-wlm munge")
    folder = tmp_path_factory.mktemp("slurm")
    (folder / "state").mkdir()
    (folder / "spool").mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    text = CONFIGURATION.format(
        folder=folder, host=socket.gethostname().split(".")[0], port=port, next_port=port + 1
    )
    (folder / "slurm.conf").write_text(text)
    (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\nCgroupMountpoint=/sys/fs/cgroup\n")
    patch = pytest.MonkeyPatch()
    patch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
    patch.setenv("PYTHONPATH", str(ROOT))
    Path("/run/munge").mkdir(exist_ok=True)
    shutil.chown("/run/munge", "munge")
    subprocess.run(["su", "munge", "-s", "/bin/sh", "-c", "munged"], capture_output=True)
    subprocess.run(["slurmctld"], check=True)
    subprocess.run(["slurmd"], check=True)
    until(lambda: "idle" in ask("sinfo", "-h", "-o", "%T"))
    yield
    for name in ("slurmd", "slurmctld"):
        os.kill(int((folder / f"{name}.pid").read_text()), signal.SIGTERM)
    patch.undo()


def ask(*command):
    return subprocess.run(command, capture_output=True, text=True).stdout


def until(condition, seconds=400):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "took too long"
        time.sleep(0.3)


def submitted(vcbench, *arguments):
    """The id of the job of Slurm."""
    status, out, err = vcbench(
        "run", "mine.toml", "--engine", "slurm", "--device", "cpu", "--cpus", "1", *arguments
    )
    assert status == 0, err
    return out.partition("job ")[2].split()[0]


def is_training(store):
    return any(store.names("runs")) and "RUNNING" in [task["state"] for task in tasks(store)]


@pytest.mark.slow
@pytest.mark.parametrize("how", ["preempted", "time", "neither"])
def test_the_numbers_are_those_of_one_process(cluster, mine, vcbench, tmp_path, how):
    assert vcbench("run", "mine.toml", "--jobs", "1", "--device", "cpu", "--results", "alone")[0] == 0
    store = RunStore(tmp_path / "results")
    job = submitted(vcbench, "--jobs", "2" if how == "neither" else "1", "--time", "1h")
    until(lambda: is_training(store))
    assert "RUNNING" in vcbench("status")[1]
    if how == "preempted":
        time.sleep(3)
        wrap = ["--wrap", "sleep 1", "--exclusive", "--output", "/dev/null"]
        assert ask("sbatch", "-p", "high", *wrap)
    if how == "time":
        time.sleep(3)
        ask("scancel", "--signal=USR1", job)
    until(lambda: not tasks(store))
    log = "".join(path.read_text() for path in store.slurm.glob("*.log"))
    assert ("the same command continues" in log) == (how != "neither"), log
    alone = RunStore(tmp_path / "alone")
    runs = alone.names("runs")
    assert len(runs) == 4 and store.names("runs") == runs
    assert [store.trial(run).weights_sha256 for run in runs] == [
        alone.trial(run).weights_sha256 for run in runs
    ]
    assert [store.result(run).top1 for run in runs] == [alone.result(run).top1 for run in runs]
    assert not list(store.root.rglob("checkpoint*")) and sys.executable in store.slurm_script(job).read_text()
