"""What is timed is checked first: right shape, finite, and near to what fp32 gives."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from bench.measure import subject
from bench.measure.setting import Setting, grid
from bench.measure.subject import BadOutput, check, prepare
from bench.measure.worker import take

SMALL = Setting("vit_digits", "infer", 2, 16, 10, "fp32", "contiguous", False, "cpu", 1)


class Odd(nn.Module):
    """Its outputs are `wrong` in half precision."""

    def __init__(self, wrong):
        super().__init__()
        self.layer, self.wrong = nn.Linear(3, 10), wrong

    def forward(self, images):
        found = self.layer(images.mean((2, 3)))
        return found if found.dtype == torch.float32 else self.wrong(found)


@pytest.fixture
def odd(monkeypatch):
    def use(wrong):
        torch.manual_seed(0)
        monkeypatch.setattr(subject, "make_network", lambda setting: Odd(wrong).eval())

    return use


@pytest.mark.parametrize("mode", ["infer", "train"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("memory_format", ["contiguous", "channels_last"])
def test_a_step_of_every_kind(mode, precision, memory_format):
    setting = replace(
        SMALL, model="resnet_digits", mode=mode, precision=precision, memory_format=memory_format
    )
    step, error = prepare(setting)
    assert 0 <= error <= subject.TOLERANCE[precision]
    assert torch.isfinite(step()).all()


def test_a_training_step_is_that_of_a_plain_loop():
    """The loss after three steps, against AdamW on the network that timm's own call gives."""
    step, _ = prepare(replace(SMALL, mode="train"))
    network = subject.make_network(SMALL).train()
    images = subject.make_images(SMALL)
    labels = torch.randint(10, (2,), generator=torch.Generator().manual_seed(1))
    optimizer = torch.optim.AdamW(network.parameters(), lr=subject.LEARNING_RATE)
    losses = []
    for _ in range(3):
        loss = nn.CrossEntropyLoss()(network(images), labels)
        network.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert [step().item(), step().item()] == pytest.approx(losses[1:], rel=1e-5)


@pytest.mark.parametrize("mode", ["infer", "train"])
@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        (lambda x: x * torch.nan, "not all finite"),
        (lambda x: x + 10 * x.norm(), "away from those in fp32"),
        (lambda x: x[:, :5], "shape"),
    ],
)
def test_wrong_outputs_are_never_timed(odd, mode, wrong, word):
    odd(wrong)
    with pytest.raises(BadOutput, match=word):
        prepare(replace(SMALL, mode=mode, precision="bf16"))
    job = {"task": "speed", "setting": replace(SMALL, precision="bf16").facts(), "threads": 1}
    found = take(job | {"repeats": 1, "seconds": 0.0})
    assert found["outcome"] == "failed" and word in found["reason"]


def test_outputs_that_are_not_finite_even_in_fp32():
    with pytest.raises(BadOutput, match="fp32"):
        check(torch.zeros(2, 10), torch.full((2, 10), torch.inf), SMALL)


def test_a_grid_is_every_combination_once():
    found = grid(
        ["a", "b"], ["infer"], [1, 32, 1], [224], ["fp32", "bf16"], ["contiguous"], [False, True],
        classes=10, device="cpu", threads=2,
    )  # fmt: skip
    assert len(found) == len(set(found)) == 2 * 2 * 2 * 2
    assert {(s.model, s.batch_size, s.precision, s.compiled) for s in found} == {
        (m, b, p, c) for m in "ab" for b in (1, 32) for p in ("fp32", "bf16") for c in (False, True)
    }
