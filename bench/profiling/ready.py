"""A step of a config, ready to be measured: of the network in PyTorch, or of what was exported of it."""

from collections.abc import Callable
from typing import Any

from bench.profiling.config import NetworkConfig


def ready(config: NetworkConfig, folder: str | None = None) -> tuple[Callable[[], object], dict[str, Any]]:
    """One step of the config, which was checked, and what its record says of that: its error at least.

    Args:
        folder: of the export, of a config that is `deployed`.

    Raises:
        BadOutput: its outputs are wrong.
        InputError: the network cannot be made so.
    """
    if config.deployed:
        from bench.profiling.exported import open_exported

        assert folder is not None
        return open_exported(config, folder)
    from bench.profiling.network import prepare

    step, error = prepare(config)
    return step, {"error": error}
