"""Random numbers of a step against PyTorch's own way to seed them."""

import pytest
import torch

from bench.training.seeds import NETWORK, derive, seed_step


@pytest.mark.parametrize("step", [0, 7])
def test_the_networks_numbers_are_those_of_manual_seed(step):
    seed_step(3, step, torch.Generator(), "cpu")
    ours = torch.rand(5), torch.nn.functional.dropout(torch.ones(64), 0.5)
    torch.manual_seed(derive(3, NETWORK, step))
    theirs = torch.rand(5), torch.nn.functional.dropout(torch.ones(64), 0.5)
    assert all(map(torch.equal, ours, theirs))


def test_devices_that_are_not_in_use_are_left_alone(monkeypatch):
    """PyTorch makes a stack trace for each of them, at every call."""
    monkeypatch.setattr(torch.cuda, "manual_seed_all", lambda seed: pytest.fail("asked CUDA"))
    seed_step(0, 0, torch.Generator(), "cpu")
    seen = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seen.append)
    seed_step(0, 0, torch.Generator(), "cuda")
    assert seen == [derive(0, NETWORK, 0)]
