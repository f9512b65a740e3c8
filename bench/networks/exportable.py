"""A network under the names that exported graphs have."""

from torch import Tensor, nn


class Exportable(nn.Module):
    """A network in evaluation mode whose input is called `images`: normalised, float32 (n, 3, size, size)."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Logits, shape (n, classes)."""
        logits: Tensor = self.network(images)
        return logits
