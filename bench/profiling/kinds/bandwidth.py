"""A limit of the machine: bytes per second between memory and processor."""

from bench.profiling.kind import Limit

KIND = Limit("bandwidth", "bytes_per_s")
