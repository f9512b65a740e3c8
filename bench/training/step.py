"""One training step, and the form in which a network is trained: for trials and for measuring them."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.training.group import ALONE, Group

FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}


class ThinConv(nn.Conv2d):
    """A strided convolution of 1 x 1 as one without stride over the pixels that it looks at: the same sums.

    In channels last on a CPU, the gradient of a strided one with few channels is wrong, hangs or damages
    memory: oneDNN 3 writes past the end of a buffer (github.com/uxlfoundation/oneDNN/issues/6035).
    """

    def forward(self, x: Tensor) -> Tensor:
        """From (n, c, h, w)."""
        rows, columns = self.stride
        return functional.conv2d(x[..., ::rows, ::columns], self.weight, self.bias)

    @staticmethod
    def fits(module: nn.Module) -> bool:
        """Whether a module is such a convolution: with fewer channels than one register of this CPU holds."""
        if type(module) is not nn.Conv2d or module.groups > 1 or module.padding != (0, 0):
            return False
        few = 16 if torch.backends.cpu.get_cpu_capability() == "AVX512" else 8
        return module.kernel_size == (1, 1) and max(module.stride) > 1 and module.in_channels < few


def trained_form(network: nn.Module, memory_format: str) -> nn.Module:
    """The network in its layout (a card's `memory_format`), without operations that cost training a copy."""
    for module in network.modules():
        if isinstance(module, nn.Hardtanh):  # and ReLU6
            module.inplace = False  # its gradient needs its input, which autograd would copy for it
        if memory_format == "channels_last" and ThinConv.fits(module):
            module.__class__ = ThinConv
    return network.to(memory_format=FORMATS[memory_format])


def set_backends(device: str, *, tf32: bool = False) -> None:
    """How this process does matrix products and convolutions: TF32 only where asked for; cuDNN looks for its
    fastest algorithm for each shape on a GPU."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cudnn.benchmark = device != "cpu"


def autocast(precision: str, device: str) -> AbstractContextManager:
    """Mixed precision for "bf16" and "fp16"; nothing for the others."""
    return torch.autocast(device, HALF[precision]) if precision in HALF else nullcontext()


class TrainingStep:
    """Forward, loss in fp32, backward, clipping of the gradient's norm, update of the weights.

    Args:
        network, optimizer: are changed by every step.
        loss: of the network's outputs, targets and images, as `bench.training.loss.CrossEntropy`.
        precision: "fp32", "tf32" (see `set_backends`), "bf16" or "fp16", whose loss is scaled.
        clip_grad: the largest norm of all gradients; None does not clip.
        compiled: whether the forward pass is compiled.
        micro_batch: images passed at once; their gradients add up to those of the batch. None passes all.
        group: of processes that do each step together, each with the whole batch at hand.
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        loss: Callable[..., Tensor],
        *,
        precision: str,
        clip_grad: float | None,
        compiled: bool = False,
        micro_batch: int | None = None,
        group: Group = ALONE,
    ) -> None:
        self.network, self.optimizer, self.loss = network, optimizer, loss
        self.precision, self.clip_grad, self.micro_batch = precision, clip_grad, micro_batch
        self.device = next(network.parameters()).device.type
        self.group = group
        whole = group.wrap(network)
        self._forward = torch.compile(whole) if compiled else whole
        self._scaler = torch.amp.GradScaler(self.device, enabled=precision == "fp16")

    def __call__(self, images: Tensor, targets: Tensor) -> Tensor:
        """The loss of a batch before the update, detached: see `bench.training.loss` for the shapes."""
        count, share = len(images), self.group.share(len(images))
        images, targets = images[share], targets[share]
        parts = self._parts(count, len(images))
        losses: list[Tensor] = []
        for part in parts:
            with nullcontext() if part is parts[-1] else self.group.apart(self._forward):
                with autocast(self.precision, self.device):
                    outputs = self._forward(images[part])
                # Gradients are averaged over processes, whose shares may differ by an image.
                weight = len(images[part]) * self.group.size / count
                loss = self.loss(outputs, targets[part], images[part]) * weight
                if not losses:
                    self.optimizer.zero_grad(set_to_none=True)
                self._scaler.scale(loss).backward()
            losses.append(loss.detach())
        if self.clip_grad is not None:
            self._scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.network.parameters(), self.clip_grad)
        self._scaler.step(self.optimizer)
        self._scaler.update()
        return self.group.mean(losses[0] if len(losses) == 1 else torch.stack(losses).sum())

    def _parts(self, count: int, own: int) -> list[slice]:
        """Even parts of this process's `own` images of a batch of `count`, as many as in the other processes,
        which wait for each other in batch normalisation."""
        largest, smallest = -(-count // self.group.size), count // self.group.size
        number = min(-(-largest // (self.micro_batch or largest)), smallest)
        bounds = [own * place // number for place in range(number + 1)]
        return [slice(start, stop) for start, stop in pairwise(bounds)]
