"""Decoded images of a split or subset, handed out in batches on the training device."""

import numpy as np
import torch

# Share of the GPU's free memory that a subset may take to be kept there.
RESIDENT_SHARE = 0.25


class Images:
    """Images of some positions of a decoded split.

    Args:
        decoded: uint8, shape (n, s, s, 3), usually memory-mapped.
        positions: which of them, shape (m,).
        device: where batches are wanted.
    """

    def __init__(self, decoded: np.ndarray, positions: np.ndarray, device: str) -> None:
        self.decoded, self.positions, self.device = decoded, positions, device
        self._resident: torch.Tensor | None = None
        if device != "cpu":
            free, _ = torch.cuda.mem_get_info()
            if decoded[0].nbytes * len(positions) < RESIDENT_SHARE * free:
                self._resident = torch.from_numpy(decoded[positions]).to(device)

    def __len__(self) -> int:
        return len(self.positions)

    def batch(self, indices: np.ndarray) -> torch.Tensor:
        """The images at `indices` of this subset: uint8, shape (len(indices), s, s, 3), on the device."""
        if self._resident is not None:
            return self._resident[torch.from_numpy(indices).to(self.device)]
        batch = torch.from_numpy(self.decoded[self.positions[indices]])
        return batch if self.device == "cpu" else batch.pin_memory().to(self.device, non_blocking=True)
