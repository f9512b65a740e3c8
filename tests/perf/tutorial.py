"""The epoch as tutorials write it, in a process of its own: python tutorial.py MODEL PX BATCH FOLDER

A plain loop after the source of the recipe `tutorial`: torchvision's ImageFolder and DataLoader as they
are, every JPEG decoded in every epoch and squashed to the input size, fp32, PyTorch's own memory layout,
plain Adam. Nothing of the harness sets anything here. For every line with a number of steps on its standard
input it prints the images/s of that many steps.
"""

import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torchvision import transforms
from torchvision.datasets import ImageFolder

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench.networks import find_card, make_model, resolve_weights

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)


def steps(model: str, size: int, batch: int, folder: Path) -> Iterator[float]:
    """Trains for ever; yields the seconds of each step, from the end of the one before."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    prepare = transforms.Compose(
        [transforms.Resize((size, size)), transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
    )
    images = ImageFolder(folder / "train", prepare)
    loader = torch.utils.data.DataLoader(images, batch_size=batch, shuffle=True, drop_last=True)
    card = find_card(model)
    weights = resolve_weights(card, "none", folder, download=False)
    network = make_model(card, weights, classes=len(images.classes), input_size=size).to(device)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    last = time.perf_counter()
    while True:
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = F.cross_entropy(network(inputs.to(device)), labels.to(device))
            loss.backward()
            optimizer.step()
            loss.item()
            now = time.perf_counter()
            yield now - last
            last = time.perf_counter()


def main() -> None:
    model, size, batch, folder = sys.argv[1:]
    seconds = steps(model, int(size), int(batch), Path(folder))
    next(seconds)
    for line in sys.stdin:
        print(int(batch) / statistics.median(next(seconds) for _ in range(int(line))), flush=True)


if __name__ == "__main__":
    main()
