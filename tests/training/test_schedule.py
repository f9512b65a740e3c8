"""Learning rates against PyTorch's own schedulers."""

import math

import pytest
import torch
from timm.data.distributed_sampler import RepeatAugSampler

from bench.spec.recipe import Schedule
from bench.training.schedule import lr_factor, momentum, position
from bench.training.seeds import epoch_order


def torch_one_cycle(total):
    """(lr, first beta) at every step of torch's OneCycleLR."""
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=total)
    rows = []
    for _ in range(total):
        group = optimizer.param_groups[0]
        rows.append((group["lr"], group["betas"][0]))
        optimizer.step()
        if len(rows) < total:
            scheduler.step()
    return rows


@pytest.mark.parametrize("total", [10, 33, 480])
def test_one_cycle_is_that_of_torch(total):
    schedule = Schedule(name="onecycle")
    for step, (lr, beta) in enumerate(torch_one_cycle(total)):
        assert lr_factor(schedule, step, total) == pytest.approx(lr, rel=1e-9)
        assert momentum(schedule, step, total) == pytest.approx(beta, rel=1e-9)


def test_stepping_once_an_epoch_leaves_one_cycle_in_its_first_rise():
    schedule = Schedule(name="onecycle", step_per_epoch=True)
    places = [position(schedule, step, 31) for step in range(15 * 31)]
    assert places[0] == places[30] == 0 and places[31] == 1 and places[-1] == 14
    assert lr_factor(schedule, places[-1], 15 * 31) < 0.1


def test_cosine_is_that_of_torch_after_a_linear_rise():
    total, warmup = 200, 20
    schedule = Schedule(name="cosine", warmup=0.1, final=0.01)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, total - warmup, eta_min=0.01)
    for step in range(warmup, total):
        assert lr_factor(schedule, step, total) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9)
        optimizer.step()
        cosine.step()
    rise = [lr_factor(schedule, step, total) for step in range(warmup + 1)]
    steps = {round(after - before, 9) for before, after in zip(rise, rise[1:], strict=False)}
    assert len(steps) == 1 and rise[-1] == 1.0 and rise[0] > 0


def test_constant():
    assert {lr_factor(Schedule(name="constant"), step, 9) for step in range(9)} == {1.0}
    assert momentum(Schedule(), 3, 9) is None
    assert math.isclose(lr_factor(Schedule(warmup=0.0), 0, 5), 1.0)


@pytest.mark.parametrize("images, repeats", [(20, 3), (21, 3), (5, 8), (7, 1)])
def test_an_epoch_repeats_images_as_timms_sampler_does(images, repeats):
    order = epoch_order(3, 1, images)
    sampler = RepeatAugSampler(
        range(images), num_replicas=1, rank=0, shuffle=False, num_repeats=repeats, selected_round=0
    )
    assert epoch_order(3, 1, images, repeats).tolist() == [order[place] for place in sampler]
