"""Memory that one training step frees is kept for the next."""

import ctypes
import platform
from functools import cache

# Of mallopt(3).
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
NEVER = 2**31 - 1

KEEP_FREED, DEFAULT = "keep_freed", "default"


def trained_allocator(device: str) -> str:
    """How the C library's memory is handled in the processes that train on a device: `keep_freed` on the CPU
    where the library is glibc, else `default`."""
    return KEEP_FREED if device == "cpu" and platform.libc_ver()[0] == "glibc" else DEFAULT


@cache
def keep_freed_memory() -> bool:
    """Have the C library keep what is freed, for the rest of this process; False where it is not glibc.

    By itself glibc maps every large tensor anew and gives it back when it is freed, and the kernel fills its
    pages with zeros each time: up to a third of a CNN's training step on a CPU. No number is changed by it;
    the process takes somewhat more memory (a sixth for EfficientNet-Lite0 at 224 px).
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    library = ctypes.CDLL(None)
    return bool(library.mallopt(M_MMAP_MAX, 0) and library.mallopt(M_TRIM_THRESHOLD, NEVER))


def return_freed_memory() -> None:
    """Have the C library give back what is freed by now; nothing where it is not glibc."""
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)
