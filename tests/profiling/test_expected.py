"""How long measurements are expected to take, against sums by hand."""

from dataclasses import replace

import pytest
from small_store import profile

from bench.machine import device_name, machine_name
from bench.profiling.config import LoadingConfig, NetworkConfig, ScalingConfig
from bench.profiling.expected import expected_seconds
from bench.profiling.job import Budget, profile_job
from bench.profiling.kind import FRESH_S, START_S
from bench.profiling.kinds.cost import COUNT_S

CONFIG = NetworkConfig("resnet18", "infer", 8, 224, 10, "fp32", "channels_last", False, "cpu", 2)
HERE = profile(machine=machine_name(), device=device_name("cpu"), flops_per_s=4e10)
COST = profile(what="cost", model="resnet18", input_size=224, flops=10**10)
# A step is 8 x 1e10 FLOPs at 4e10 a second.
STEP = 2.0


def speed(**changes):
    return profile_job("speed", replace(CONFIG, **changes), Budget(3, 5, 1.0))


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        (speed(), 3 * (START_S + 7 * STEP + 5 * STEP)),
        (speed(mode="train"), 3 * (START_S + (7 + 5) * 3 * STEP)),
        (speed(input_size=448), 3 * (START_S + (7 + 5) * 4 * STEP)),
        (profile_job("memory", CONFIG), FRESH_S + 4 * STEP),
        (profile_job("scaling", ScalingConfig("resnet18", 10, (96, 224))), 2 * COUNT_S),
        (
            profile_job("loading", LoadingConfig("jpeg", 500, 224, "cpu", 2), Budget(3, 5, 1.0)),
            3 * (START_S + 12 * 2.0),
        ),
    ],
)
def test_one_measurement(asked, seconds):
    elsewhere = HERE.model_copy(update={"machine": "another", "flops_per_s": 1.0})
    assert expected_seconds([asked], [COST, HERE, elsewhere]) == pytest.approx(seconds)
    assert expected_seconds([asked] * 2, [COST, HERE, elsewhere]) == pytest.approx(2 * seconds)


def test_of_the_published_suite_it_is_of_the_right_size():
    """Nine networks of which nothing is known yet: between ten minutes and an hour on two threads."""
    from bench.profiling.plan import planned_profiles
    from bench.spec.suite import load_suite

    asked = [one for one in planned_profiles(load_suite("backbones"), (), "cpu") if one.what != "cost"]
    assert 600 < expected_seconds(asked, []) < 3600
