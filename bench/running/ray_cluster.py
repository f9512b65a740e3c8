"""The Ray cluster that this process is connected to."""

import logging
import os
import signal
import threading
from collections.abc import Mapping
from typing import Any

from bench.errors import InputError
from bench.machine import choose_device, machine_facts

# What Ray calls the resources that a task needs.
RESOURCES = {"num_cpus": "CPU", "num_gpus": "GPU"}


def connect(address: str | None) -> None:
    """Connect this process to a cluster, where it is not connected yet.

    Args:
        address: of the cluster; "auto" finds one that runs here, None begins one of this machine alone.

    Raises:
        InputError: Ray is not installed, or there is no cluster.
    """
    try:
        import ray
    except ImportError:
        raise InputError("--engine ray needs Ray: pip install 'vcbench[ray]'") from None
    if ray.is_initialized():
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    on_sigterm = signal.getsignal(signal.SIGTERM)
    try:
        if address or "RAY_ADDRESS" in os.environ:
            ray.init(address=address, **quiet)
        else:
            cores = int(machine_facts()["cores"])
            ray.init(address="local", num_cpus=cores, include_dashboard=False, **quiet)
    except ConnectionError as error:
        raise InputError(
            f"--address {address or os.environ['RAY_ADDRESS']}: no Ray cluster answers there; "
            "begin one with: ray start --head"
        ) from error
    finally:  # Ray would end the process, and nothing would be kept
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, on_sigterm)


def cluster_device(requested: str, address: str | None) -> str:
    """The device that jobs compute on: for "auto" a GPU where a node of the cluster has one.

    Raises:
        InputError: as `connect`.
    """
    connect(address)
    if requested != "auto":
        return requested
    import ray

    with_gpu = {node["NodeID"] for node in living() if node["Resources"].get("GPU")}
    others = with_gpu - {ray.get_runtime_context().get_node_id()}
    return "cuda" if others or (with_gpu and choose_device("auto") == "cuda") else "cpu"


def require_node(need: Mapping[str, float]) -> None:
    """Refuse what Ray would wait for in vain.

    Args:
        need: by the keys of RESOURCES.

    Raises:
        InputError: no node of the cluster has so much.
    """
    there = nodes()
    if not any(all(node.get(RESOURCES[key], 0) >= value for key, value in need.items()) for node in there):
        wanted = " and ".join(f"{value:g} {RESOURCES[key]}s" for key, value in need.items())
        largest = (max((node.get(RESOURCES[key], 0) for node in there), default=0) for key in need)
        most = ", ".join(f"{value:g}" for value in largest)
        raise InputError(f"--engine ray: no node of the cluster has {wanted}; the most is {most}")


def living() -> list[dict[str, Any]]:
    """What Ray knows of each node that is there."""
    import ray

    every: Any = ray.nodes
    return [node for node in every() if node["Alive"]]


def nodes() -> list[dict[str, float]]:
    """The resources of each node that is there."""
    return [node["Resources"] for node in living()]


def total(resource: str) -> float:
    """How much of a resource all nodes have."""
    return sum(node.get(resource, 0.0) for node in nodes())
