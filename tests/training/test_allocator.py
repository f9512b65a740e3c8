"""Memory is kept where the C library can be told to."""

import subprocess
import sys

import pytest

CODE = """
import resource, sys
import torch
if sys.argv[1] == "kept":
    from bench.training.allocator import keep_freed_memory
    if not keep_freed_memory():
        sys.exit(3)
torch.ones(64 << 20, dtype=torch.uint8)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
    torch.ones(64 << 20, dtype=torch.uint8)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how):
    ended = subprocess.run([sys.executable, "-c", CODE, how], capture_output=True, text=True, check=False)
    if ended.returncode == 3:
        pytest.skip("the C library is not glibc")
    return int(ended.stdout)


def test_a_freed_tensor_is_not_mapped_anew():
    """64 MiB in pages of 4 KiB are 16,384 faults each time, unless huge pages are on; kept, they are none."""
    assert faults("kept") < 1000
    if faults("given back") < 1000:
        pytest.skip("this system has huge pages throughout")
