"""A suite as an array of Slurm tasks, each the same command on one run store.

The tasks share the work as any processes on one store do. Slurm warns a task of the end of its time with
SIGUSR1; it keeps what it has and is put into the queue again. One that is preempted is put there by Slurm.
"""

import math
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.errors import InputError
from bench.files import write_text
from bench.store.run_store import RunStore

# Before the end of its time a task gets a signal: a step and a checkpoint have to fit in between.
WARNING_SECONDS = 120
# The exit status of `vcbench run` after SIGUSR1 and SIGTERM: what shells report of a process they have ended.
USR1, TERM = 138, 143
# How long a command of Slurm may take.
PATIENCE_SECONDS = 60


@dataclass(frozen=True)
class Resources:
    """What each task asks for.

    Attributes:
        tasks: how many there are.
        seconds: until a task is put into the queue again; None takes the partition's.
        options: further options of sbatch by name, "partition", "account", "gpus", "cpus-per-task".
    """

    tasks: int = 1
    seconds: float | None = None
    options: Mapping[str, str] = field(default_factory=dict)


def script(name: str, command: Sequence[str], folder: Path, logs: Path, resources: Resources) -> str:
    """The batch script.

    Args:
        name: of the suite.
        command: what each task runs in `folder`.
        logs: the folder for what the tasks print.

    Raises:
        InputError: the time is too short to warn of its end.
    """
    options = {
        "job-name": f"vcbench-{name}",
        "array": f"0-{resources.tasks - 1}",
        "output": f"{logs}/%A_%a.log",
        "open-mode": "append",
        "requeue": "",
        "signal": f"USR1@{WARNING_SECONDS}",
        **resources.options,
    }
    if resources.seconds is not None:
        if resources.seconds < 2 * WARNING_SECONDS:
            raise InputError(
                f"--time {resources.seconds:.0f}s: should be {2 * WARNING_SECONDS // 60}m or more, as a task "
                f"pauses {WARNING_SECONDS} s before its end"
            )
        minutes = math.ceil(resources.seconds / 60)
        options["time"] = f"{minutes // 60}:{minutes % 60:02d}:00"
    for key, value in options.items():
        if re.search(r"[\s\"'\\]", value):
            raise InputError(f"--{key} {value!r}: should have no spaces and no quotes")
    # Since Slurm 22.05 srun does not take over the cores that sbatch was asked for.
    cores = [f"--cpus-per-task={options['cpus-per-task']}"] if "cpus-per-task" in options else []
    lines = [f"#SBATCH --{key}={value}" if value else f"#SBATCH --{key}" for key, value in options.items()]
    return "\n".join(
        [
            "#!/bin/bash",
            *lines,
            "",
            "trap : TERM  # srun passes it on; this script is to outlive it",
            f"cd {shlex.quote(str(folder))}",
            " ".join(["srun --ntasks=1", *cores, shlex.join(command)]),
            "status=$?",
            f"if [ $status -eq {USR1} ]; then  # the time is nearly over: go on later",
            '  scontrol requeue "${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}"',
            f"elif [ $status -eq {TERM} ]; then  # preempted or cancelled: Slurm knows which",
            "  sleep 3600 & wait $!; wait $!",
            "fi",
            "exit $status",
            "",
        ]
    )


def submit(text: str, store: RunStore) -> str:
    """Hand the script to Slurm, note its job in the store, and return the id.

    Raises:
        InputError: there is no Slurm here, or it refuses.
        StoreError: the store cannot be written.
    """
    if shutil.which("sbatch") is None:
        raise InputError("--engine slurm: there is no sbatch here; --dry-run prints the script")
    store.prepare()
    store.slurm.mkdir(exist_ok=True)
    job = _call(["sbatch", "--parsable"], text).strip().partition(";")[0]
    write_text(store.slurm_script(job), text)
    return job


def tasks(store: RunStore) -> list[dict[str, str]]:
    """The tasks of the store's jobs that Slurm still has: job, task, state, time, node."""
    jobs = {path.stem for path in store.slurm.glob("*.sh")}
    if not jobs or shutil.which("squeue") is None:
        return []
    names = ("job", "task", "state", "time", "where")
    # All of the user's are asked for: an id that Slurm has forgotten is an error to squeue.
    lines = _call(["squeue", "--noheader", "--array", "--me", "--format=%F|%K|%T|%M|%R"]).splitlines()
    rows = [dict(zip(names, line.strip().split("|", 4), strict=True)) for line in lines if line.strip()]
    return [row for row in rows if row["job"] in jobs]


def _call(command: list[str], text: str | None = None) -> str:
    try:
        ran = subprocess.run(command, input=text, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise InputError(f"{command[0]}: no answer within {PATIENCE_SECONDS} s") from error
    if ran.returncode:
        raise InputError(f"{command[0]}: {' '.join(ran.stderr.split()) or f'exit status {ran.returncode}'}")
    return ran.stdout
