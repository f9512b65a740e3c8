"""A training step never makes the host wait for a GPU: counted on tensors that only pretend to be on one.

Tensors of the host are real, those of the device have a shape and no values (PyTorch's FakeTensor), so that
what a step does with a GPU can be followed where there is none.
"""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch._subclasses import FakeTensor, FakeTensorMode
from torch._subclasses.fake_tensor import unset_fake_temporarily
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from bench.data.augment import Pipeline
from bench.spec.recipe import Augment, RandAugment, load_recipe, recipe_names
from bench.training.images import Epoch, Images
from bench.training.mix import mix_batch

aten = torch.ops.aten
# What has to know values, or how many of them there are.
WAITS = {
    aten._local_scalar_dense,
    aten.item,
    aten.is_nonzero,
    aten.equal,
    aten.nonzero,
    aten.masked_select,
    aten.unique_dim,
    aten._unique2,
    aten.bincount,
    aten.histc,
}


class Device(TorchDispatchMode):
    """Does work of the host for real and that of the device not at all, and notes where the host waits."""

    def __init__(self, pinned: set[int]) -> None:
        super().__init__()
        self.waits: list[str] = []
        self.kernels, self._pinned = 0, pinned
        self._fake = FakeTensorMode(allow_non_fake_inputs=True)

    def __enter__(self):
        self._fake.__enter__()  # PyTorch then does not look for a driver
        return super().__enter__()

    def __exit__(self, *error):
        super().__exit__(*error)
        self._fake.__exit__(*error)

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        flat = tree_flatten((args, kwargs))[0]
        fake = [item for item in flat if isinstance(item, FakeTensor)]
        real = [item for item in flat if isinstance(item, torch.Tensor) and not isinstance(item, FakeTensor)]
        target = next((item for item in flat if isinstance(item, torch.device)), None)
        if not fake and (target is None or target.type == "cpu"):
            with unset_fake_temporarily():
                return function(*args, **kwargs)
        self.kernels += 1
        operation = function.overloadpacket
        pinned = all(item.data_ptr() in self._pinned for item in real if item.dim())
        if fake and target is not None and target.type == "cpu":
            self.waits.append(f"{operation} from the device")
        elif operation in WAITS or (any(_masks(item) for item in args[1:]) and not _fills(operation, args)):
            self.waits.append(f"{operation}")
        elif not pinned or (real and not fake and not kwargs.get("non_blocking")):
            self.waits.append(f"{operation} of ordinary memory")
        with self._fake:
            return function(*args, **kwargs)


def _masks(argument) -> bool:
    """Whether an operation is indexed by a mask, whose true values have to be counted."""
    return isinstance(argument, (list, tuple)) and any(
        isinstance(item, torch.Tensor) and item.dtype == torch.bool for item in argument
    )


def _fills(operation, args) -> bool:
    """Whether a mask says where one number of the host goes: older versions of PyTorch call it so, and do as
    `masked_fill`, which counts nothing."""
    return operation is aten.index_put_ and args[2].numel() == 1 and args[2].device.type == "cpu"


@pytest.fixture
def pinned(monkeypatch) -> set[int]:
    """Addresses of pinned memory."""
    addresses: set[int] = set()
    kept = []

    def pin(tensor):
        copy = tensor.clone()
        addresses.add(copy.data_ptr())
        kept.append(copy)  # so that no other tensor comes to lie there
        return copy

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)
    return addresses


def resident(device: str, images: int, side: int) -> Images:
    """Images that are kept on the device."""
    made = Images(np.zeros((images, side, side, 3), np.uint8), np.arange(images), "cpu")
    made.device = device
    made._resident = torch.zeros(images, side, side, 3, dtype=torch.uint8, device=device)
    return made


def one_step(recipe, size: int, side: int, pinned: set[int], *, kept: bool) -> Device:
    """What a step of an epoch does on a device, from the stored images to the loss."""
    host = Images(np.zeros((32, side, side, 3), np.uint8), np.arange(32), "cpu")
    host.device = "cuda"
    pipeline = Pipeline(recipe.augment, input_size=size, mean=(0.5,) * 3, std=(0.5,) * 3)
    generator = torch.Generator()
    with Device(pinned) as device:
        images = resident("cuda", 32, side) if kept else host
        epoch = Epoch(images, torch.zeros(32, dtype=torch.int64, device="cuda"), np.arange(32))
        for step in range(2):
            generator.manual_seed(step)
            if step:  # tables and constants are uploaded in the first
                device.waits.clear()
                device.kernels = 0
            stored, classes = epoch.batch(16 * step, 16 * step + 16)
            inputs = pipeline.train(stored, generator)
            inputs, target = mix_batch(inputs, classes, 10, recipe, generator)
            assert inputs.device.type == target.device.type == "cuda"
            F.cross_entropy(inputs.flatten(1)[:, :10], target)
    return device


TRAINED = [recipe for recipe in map(load_recipe, recipe_names()) if recipe.probe is None]
PADDED = TRAINED[0].model_copy(update={"augment": Augment(random_crop="pad", randaugment=RandAugment(ops=9))})


@pytest.mark.parametrize("kept", [True, False], ids=["resident", "host"])
@pytest.mark.parametrize("size, side", [(224, 256), (32, 32), (64, 32)])
@pytest.mark.parametrize("recipe", [*TRAINED, PADDED], ids=lambda recipe: recipe.name)
def test_no_step_waits_for_the_device(recipe, size, side, kept, pinned):
    side = recipe.augment.stored_size(size) if side == 256 else side
    device = one_step(recipe, size, side, pinned, kept=kept)
    assert device.waits == []
    assert device.kernels > 5


def test_waits_are_seen(pinned):
    """The counter itself: what PyTorch does to make the host wait."""
    with Device(pinned) as device:
        there = torch.zeros(4, 3, device="cuda")
        assert device.waits == []
        ways = [
            lambda: there.sum().item(),
            lambda: there.cpu(),
            lambda: there[there > 0],
            lambda: there.index_put_((there[:, 0] > 0,), there[0]),
            lambda: there.nonzero(),
            lambda: torch.arange(3).to("cuda"),
            lambda: torch.arange(3).pin_memory().to("cuda"),
            lambda: there[torch.arange(3)],
            lambda: torch.tensor([1.0, 2.0], device="cuda"),
        ]
        for number, way in enumerate(ways, 1):
            try:
                way()
            except Exception as error:  # a fake tensor has no values to give
                assert "DataDependent" in type(error).__name__ or "Dynamic" in type(error).__name__, error
            assert len(device.waits) == number, number
        torch.arange(3).pin_memory().to("cuda", non_blocking=True)
        there.index_select(0, torch.zeros(2, dtype=torch.int64, device="cuda")).add_(1.5)
        assert len(device.waits) == len(ways)
