"""Decoded images of a split or subset, handed out in batches on the training device."""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from bench.data.device import to_device
from bench.data.streamed import Streamed

# Share of the GPU's free memory that a subset may take to be kept there.
RESIDENT_SHARE = 0.25


class Images:
    """Images of some positions of a decoded split.

    Args:
        decoded: uint8, shape (n, s, s, 3): memory-mapped, or decoded as they are wanted.
        positions: which of them, shape (m,).
        device: where batches are wanted.
        change: makes of a batch, with its positions, what is handed out instead; None for no change.
    """

    def __init__(
        self,
        decoded: np.ndarray | Streamed,
        positions: np.ndarray,
        device: str,
        change: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
    ) -> None:
        self.decoded, self.positions, self.device, self.change = decoded, positions, device, change
        self._resident: Tensor | None = None
        if device == "cuda" and change is None:
            free, _ = torch.cuda.mem_get_info()
            if math.prod(decoded.shape[1:]) * len(positions) < RESIDENT_SHARE * free:
                self._resident = torch.from_numpy(decoded[positions]).to(device)

    def __len__(self) -> int:
        return len(self.positions)

    def batch(self, indices: np.ndarray, on_device: Tensor | None = None) -> Tensor:
        """The images at `indices` of this subset: uint8, shape (len(indices), s, s, 3), on the device.

        Args:
            on_device: the same indices, where they are on the device already.
        """
        if self._resident is not None:
            if on_device is None:
                on_device = to_device(torch.from_numpy(indices), self.device)
            return self._resident.index_select(0, on_device)
        positions = self.positions[indices]
        images = self.decoded[positions]
        if self.change is not None:
            images = self.change(images, positions)
        return to_device(torch.from_numpy(images), self.device)


class Epoch:
    """Images of a subset and their classes in the order of one epoch, which is uploaded once.

    Args:
        labels: class of every image, on the images' device, shape (len(images),).
        order: int64, shape (len(images),).
    """

    def __init__(self, images: Images, labels: Tensor, order: np.ndarray) -> None:
        self._images, self._order = images, order
        self._on_device = to_device(torch.from_numpy(order), images.device)
        self._labels = labels.index_select(0, self._on_device)

    def batch(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Images uint8 (n, s, s, 3) and classes int64 (n,) from one position of the order to another."""
        part = slice(start, stop)
        return self._images.batch(self._order[part], self._on_device[part]), self._labels[part]
