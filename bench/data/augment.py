"""From stored images to network input: crop, flip, RandAugment, normalise, erase, a batch at a time.

Random numbers are drawn on the CPU, separately for every image, so that a trial sees the same
augmentation on every device; pixels are worked on where they lie. The order is DeiT's (Touvron et al.,
2021, arXiv 2012.12877): crop and flip, RandAugment on whole numbers, normalise, erase.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.data.device import to_device
from bench.data.randaugment import randaugment
from bench.data.resize import resize
from bench.spec.recipe import Augment

ATTEMPTS = 10
ERASED_AREA = (0.02, 1 / 3)
ERASED_RATIO = (0.3, 1 / 0.3)


class Pipeline:
    """Makes network input of stored images.

    Images are stored either at `augment.stored_size(input_size)`, or at the smaller native side of their
    dataset. In the latter case all of the image is scaled to `input_size` here and nothing is cut off.
    Random boxes are boxes of the stored image: with `resize = "crop"` of the centre square of a photograph,
    not of all of it. All scaling is Pillow's, antialiased, in training as in evaluation.

    Args:
        augment: what to do; its mean and std, where given, stand instead of the model's.
        input_size: side of the network's input in px.
        mean, std: of the model's card, for pixels in 0..1.

    Attributes:
        mean, std: those that are taken out, shape (3,).
    """

    def __init__(
        self, augment: Augment, *, input_size: int, mean: Sequence[float], std: Sequence[float]
    ) -> None:
        self.augment, self.input_size = augment, input_size
        self._stored = augment.stored_size(input_size)
        self.mean, self.std = torch.tensor(augment.mean or mean), torch.tensor(augment.std or std)
        self._scale_bias = torch.stack((1 / (255 * self.std), -self.mean / self.std))

    def evaluate(self, images: Tensor) -> Tensor:
        """The centre crop, normalised.

        Args:
            images: uint8, shape (n, s, s, 3).

        Returns:
            float32, shape (n, 3, input_size, input_size).
        """
        return self._normalise(self._centre(images))

    def shown(self, images: Tensor) -> Tensor:
        """What a network is shown in evaluation, before it is normalised: levels are whole.

        Args:
            images: uint8, shape (n, s, s, 3).

        Returns:
            uint8, shape (n, input_size, input_size, 3), of which `evaluate` makes network input in turn.
        """
        return _whole_levels(self._centre(images)).permute(0, 2, 3, 1).contiguous()

    def train(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Augmented and normalised images.

        Args:
            images: uint8, shape (n, s, s, 3).
            generator: on the CPU; the source of everything random.

        Returns:
            float32, shape (n, 3, input_size, input_size).
        """
        augment, planes = self.augment, _planes(images)
        n, side = len(planes), planes.shape[-1]
        flip = torch.rand(n, generator=generator) < (0.5 if augment.flip else 0.0)
        if augment.random_crop == "resized":
            boxes = resized_boxes(n, side, augment.scale, augment.ratio, generator)
            pixels = resize(planes, self.input_size, augment.interpolation, boxes, flip)
        elif augment.random_crop == "pad":
            whole = self._whole(planes)
            room = torch.tensor(whole.shape[-1] + 2 * augment.pad - self.input_size).expand(n)
            top, left = (_whole_number(room, generator) for _ in range(2))
            pixels = window(whole, top, left, flip, self.input_size, augment.pad)
        else:
            # Native images are mirrored before they are scaled, which is the same and less work.
            corner = torch.full((n,), self._margin(side))
            size = self.input_size if side == self._stored else side
            pixels = self._whole(window(planes, corner, corner, flip, size))
        if augment.randaugment is not None:
            pixels = randaugment(_whole_levels(pixels), augment.randaugment, generator)
        pixels = self._normalise(pixels)
        return erase(pixels, augment.erase, generator) if augment.erase else pixels

    def _centre(self, images: Tensor) -> Tensor:
        """The centre crop of stored images: levels 0..255, shape (n, 3, input_size, input_size)."""
        whole = self._whole(_planes(images))
        start = self._margin(whole.shape[-1])
        end = start + self.input_size
        return whole[:, :, start:end, start:end]

    def _margin(self, side: int) -> int:
        """What the centre crop leaves out on the left and above, rounded as torchvision's center_crop."""
        return round((side - self.input_size) / 2) if side == self._stored else 0

    def _whole(self, planes: Tensor) -> Tensor:
        """The images, scaled to `input_size` where they are stored at their native size; levels 0..255."""
        if planes.shape[-1] in (self._stored, self.input_size):
            return planes
        return resize(planes, self.input_size, self.augment.interpolation)

    def _normalise(self, pixels: Tensor) -> Tensor:
        """Levels 0..255, shape (n, 3, h, w), as new float32 with the card's mean and std taken out."""
        if self._scale_bias.device != pixels.device:
            self._scale_bias = to_device(self._scale_bias.cpu(), pixels.device)
        scale, bias = self._scale_bias
        n, channels, height, width = pixels.shape
        rows = pixels.permute(0, 2, 3, 1)
        if not rows.is_contiguous() and pixels.is_contiguous():
            levels = pixels.to(torch.float32, copy=True)
            return levels.mul_(scale.view(-1, 1, 1)).add_(bias.view(-1, 1, 1))
        # Interleaved colours are worked on a row at a time: a loop over three values would be slow.
        levels = rows.reshape(n, height, width * channels).to(torch.float32, copy=True)
        levels.mul_(scale.repeat(width)).add_(bias.repeat(width))
        return levels.view(n, height, width, channels).permute(0, 3, 1, 2)


def window(pixels: Tensor, top: Tensor, left: Tensor, flip: Tensor, size: int, pad: int = 0) -> Tensor:
    """Zero-pad, cut a window of its own out of every image and mirror some of them.

    Args:
        pixels: shape (n, 3, s, s).
        top, left: corner of each window in the padded image, on the CPU, int64, shape (n,).
        flip: which windows to mirror, on the CPU, bool, shape (n,).
        size: side of the window in px.
        pad: black border around the image in px.

    Returns:
        As `pixels`, shape (n, 3, size, size), colours interleaved in memory.
    """
    padded = F.pad(pixels.permute(0, 2, 3, 1), (0, 0, pad, pad, pad, pad))
    n, side = len(padded), padded.shape[1]
    top, left, flip = to_device(torch.stack((top, left, flip.long())), pixels.device)[:, :, None]
    steps = torch.arange(size, device=pixels.device)
    rows = torch.arange(n, device=pixels.device)[:, None] * side + top + steps
    columns = left + torch.where(flip > 0, size - 1 - steps, steps)
    positions = (rows[:, :, None] * side + columns[:, None, :]).view(-1)
    chosen = padded.reshape(-1, padded.shape[3]).index_select(0, positions)
    return chosen.view(n, size, size, -1).permute(0, 3, 1, 2)


def resized_boxes(
    n: int, side: int, scale: tuple[float, float], ratio: tuple[float, float], generator: torch.Generator
) -> Tensor:
    """Boxes of random area and aspect ratio, drawn as torchvision's RandomResizedCrop does.

    Args:
        n: number of boxes.
        side: of the square image, in px.
        scale: smallest and largest share of the image's area.
        ratio: smallest and largest width / height; its logarithm is uniform.

    Returns:
        top, left, height, width in px: int64, shape (n, 4).
    """
    area = side * side * _uniform((ATTEMPTS, n), *scale, generator)
    aspect = _log_uniform((ATTEMPTS, n), *ratio, generator)
    height, width = (area / aspect).sqrt().round().long(), (area * aspect).sqrt().round().long()
    fits = (height > 0) & (height <= side) & (width > 0) & (width <= side)
    # Where no attempt fits: the largest box whose aspect ratio is allowed.
    last = (min(side, round(side / ratio[0])), min(side, round(side * ratio[1])))
    height, width = (_first(fits, sizes, other) for sizes, other in zip((height, width), last, strict=True))
    centred = ~fits.any(0)
    top, left = (_whole_number(side - sizes, generator) for sizes in (height, width))
    top, left = (
        torch.where(centred, (side - height) // 2, top),
        torch.where(centred, (side - width) // 2, left),
    )
    return torch.stack((top, left, height, width), 1)


def erase(pixels: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """Replace, in place, a random box of some images with normal noise (Zhong et al., 2017).

    Source: arXiv 1708.04896. Sizes are drawn as for DeiT: area in `ERASED_AREA`, and height / width in
    `ERASED_RATIO`, log-uniform.

    Args:
        pixels: normalised images, float32, shape (n, 3, s, s).
        probability: with which an image loses a box.
    """
    n, channels, side, _ = pixels.shape
    chosen = torch.rand(n, generator=generator) < probability
    area = side * side * _uniform((ATTEMPTS, n), *ERASED_AREA, generator)
    aspect = _log_uniform((ATTEMPTS, n), *ERASED_RATIO, generator)
    height, width = (area * aspect).sqrt().round().long(), (area / aspect).sqrt().round().long()
    fits = (height < side) & (width < side)
    height, width = _first(fits, height, 0), _first(fits, width, 0)
    top, left = (_whole_number(side - sizes, generator) for sizes in (height, width))
    # Box by box and row by row, all pixels of all boxes; only the boxes and the noise are uploaded.
    sizes = torch.where(chosen, height * width, 0)
    total = int(sizes.sum())
    noise = to_device(torch.randn(total, channels, generator=generator), pixels.device)
    boxes = torch.stack((torch.arange(n), top, left, width, sizes, sizes.cumsum(0) - sizes))
    boxes = to_device(boxes, pixels.device)
    members = torch.repeat_interleave(boxes[4], output_size=total)
    image, top, left, width, _, first = boxes.index_select(1, members)
    within = torch.arange(total, device=pixels.device) - first
    positions = (image, top + within // width, left + within % width)
    pixels.permute(0, 2, 3, 1).index_put_(positions, noise)
    return pixels


def _planes(images: Tensor) -> Tensor:
    """(n, s, s, 3) seen as (n, 3, s, s)."""
    return images.permute(0, 3, 1, 2)


def _whole_levels(pixels: Tensor) -> Tensor:
    """Levels 0..255 as uint8."""
    return pixels if pixels.dtype == torch.uint8 else pixels.round().to(torch.uint8)


def _uniform(shape: tuple[int, ...], low: float, high: float, generator: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(shape, generator=generator, dtype=torch.float64)


def _log_uniform(shape: tuple[int, ...], low: float, high: float, generator: torch.Generator) -> Tensor:
    low, high = torch.tensor([low, high], dtype=torch.float64).log().tolist()
    return _uniform(shape, low, high, generator).exp()


def _whole_number(highest: Tensor, generator: torch.Generator) -> Tensor:
    """For each entry a whole number from 0 to it, both included: int64, shape (n,)."""
    draw = torch.rand(len(highest), generator=generator, dtype=torch.float64)
    return torch.minimum((draw * (highest + 1)).long(), highest)


def _first(valid: Tensor, values: Tensor, otherwise: int) -> Tensor:
    """The first valid value of every column of (attempts, n), or `otherwise`: shape (n,)."""
    chosen = values.gather(0, valid.int().argmax(0, keepdim=True))[0]
    return torch.where(valid.any(0), chosen, otherwise)
