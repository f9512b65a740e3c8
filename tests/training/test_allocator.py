"""Memory is kept where the C library can be told to."""

import subprocess
import sys

import pytest

# Forward and backward pass over tensors of 64 MiB; prints the page faults of the later ones.
CODE = """
import resource, sys
import torch
if sys.argv[1] == "kept":
    from bench.training.allocator import keep_freed_memory
    if not keep_freed_memory():
        sys.exit(3)
layers = torch.nn.Sequential(*[torch.nn.Sigmoid() for _ in range(6)])
images = torch.ones(16, 64, 128, 128)
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for step in range(8):
    if step == 3:
        before = faults()
    layers(images.requires_grad_()).mean().backward()
print(faults() - before)
"""


def faults(how):
    ended = subprocess.run([sys.executable, "-c", CODE, how], capture_output=True, text=True, check=False)
    if ended.returncode == 3:
        pytest.skip("the C library is not glibc")
    return int(ended.stdout)


def test_what_a_step_frees_is_not_mapped_anew():
    given_back = faults("given back")
    if given_back < 10_000:
        pytest.skip("this system has huge pages throughout")
    assert faults("kept") < given_back / 4
