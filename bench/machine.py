"""What a number was measured on: machine, device, library versions, commit."""

import os
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bench.errors import InputError

LIBRARIES = ("torch", "torchvision", "timm", "fvcore", "numpy", "scikit-learn", "pandas")


@cache
def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that can change a number."""
    installed = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            installed[name] = version(name)
        except PackageNotFoundError:
            continue
    return installed


@cache
def commit() -> str:
    """The git commit the harness runs from, with "+changes" where files differ from it; empty outside git.

    VCBENCH_COMMIT says it where the code was copied without its repository.
    """
    if own := os.environ.get("VCBENCH_COMMIT"):
        return own
    root = Path(__file__).parent.parent
    if not (root / ".git").exists():
        return ""
    try:
        head = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10
        )
        changed = subprocess.run(
            ["git", "-C", str(root), "status", "--porcelain", "--", "bench", "models"],
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    if head.returncode:
        return ""
    return head.stdout.strip() + ("+changes" if changed.stdout.strip() else "")


def choose_device(requested: str) -> str:
    """`cpu`, `cuda` or `mps` (a GPU of Apple's); `auto` takes CUDA where it is there, else the CPU.

    Raises:
        InputError: a GPU was asked for and there is none of its kind.
    """
    if requested not in ("auto", "cpu", "cuda", "mps"):
        raise InputError(f"--device {requested}: should be auto, cpu, cuda or mps")
    if requested == "cpu" or (requested == "auto" and not _may_have_gpu()):
        return "cpu"
    import torch

    if requested != "mps" and torch.cuda.is_available():
        return "cuda"
    if requested == "mps" and torch.backends.mps.is_available():
        return "mps"
    if requested != "auto":
        kind = requested.upper()
        raise InputError(
            f"--device {requested}: PyTorch finds no {kind} device here; use --device cpu or auto"
        )
    return "cpu"


def _may_have_gpu() -> bool:
    """Whether to import PyTorch, which takes seconds, to look for a GPU: not where no driver is loaded."""
    drivers = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/nvhost-gpu", "/dev/kfd", "/dev/dxg")
    return platform.system() != "Linux" or any(os.path.exists(path) for path in drivers)


def computes(device: str) -> bool:
    """Whether a device still does as it is told: after some errors a process can use its GPU no more."""
    if device == "cpu":
        return True
    import torch

    try:
        return float(torch.ones(2, device=device).sum()) == 2.0
    except RuntimeError as error:
        # Memory may be full of what the failed trial has not given back yet.
        return isinstance(error, torch.OutOfMemoryError)


def device_name(device: str) -> str:
    """A device as a reader knows it: the product name of a CUDA GPU, or "cpu" or "mps"."""
    if device != "cuda":
        return device
    import torch

    return torch.cuda.get_device_name(0)


@cache
def machine_facts() -> dict[str, str | int | float]:
    """Processor, cores usable by this process, and memory in GiB."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "memory_gib": round(_memory_bytes() / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
    }


def gpu_facts(device: str) -> dict[str, str | int | float | bool] | None:
    """What of a CUDA GPU can change its numbers; None for others. What cannot be read is left out."""
    if device != "cuda":
        return None
    import torch

    properties = torch.cuda.get_device_properties(0)
    facts = {
        "name": properties.name,
        "memory_gib": round(properties.total_memory / 2**30, 1),
        "cuda": torch.version.cuda or "",
        "cudnn": torch.backends.cudnn.version() or 0,
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
        "tf32": torch.backends.cuda.matmul.allow_tf32 or torch.backends.cudnn.allow_tf32,
    }
    return facts | _nvml_facts()


def _nvml_facts() -> dict[str, str | int | float]:
    """Driver and power limit of the GPU, and how many other processes compute on it, as far as NVML tells."""
    import pynvml

    from bench.nvml import gpu_handle, read_all

    return read_all(
        gpu_handle(),
        {
            "driver": lambda handle: pynvml.nvmlSystemGetDriverVersion(),
            "power_limit_w": lambda handle: round(pynvml.nvmlDeviceGetPowerManagementLimit(handle) / 1000, 1),
            # All but this one; its number may be another in a container.
            "other_processes": lambda handle: max(
                0, len(pynvml.nvmlDeviceGetComputeRunningProcesses(handle)) - 1
            ),
        },
    )


def instructions() -> str:
    """The vector instructions of this processor that PyTorch uses, such as "AVX2"; by others sums are rounded
    otherwise, so that a training comes to other weights."""
    import torch

    capability: str = torch.backends.cpu.get_cpu_capability()
    return capability


def machine_name() -> str:
    """One readable line; VCBENCH_MACHINE replaces it where a machine has a name of its own."""
    own = os.environ.get("VCBENCH_MACHINE")
    if own:
        return own
    facts = machine_facts()
    return f"{facts['cpu']}, {facts['cores']} cores, {facts['memory_gib']:.0f} GiB"


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].replace("(R)", "").replace("(TM)", "").split())
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
