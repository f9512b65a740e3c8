"""A network while it looks at one image: what several pictures need is computed once."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from bench.errors import InputError
from bench.inspection.attention import AttentionReader
from bench.inspection.images import Picture, Sample
from bench.inspection.loading import Loaded
from bench.inspection.receptive import feature_maps
from bench.inspection.steps import Step, steps_of
from bench.inspection.tokens import NotShown, Tokens, tokens_of
from bench.inspection.windows import WindowAttention, read_windows


@dataclass(frozen=True)
class View:
    """One network and one image.

    Attributes:
        sample: images for what is averaged.
        wanted: the class for which evidence is shown, by name or number; None is the predicted one.
        patch: row and column from 1 of the patch whose attention is shown; None is the one with most detail.
    """

    model: Loaded
    picture: Picture
    sample: Sample
    wanted: str | None = None
    patch: tuple[int, int] | None = None

    def check(self) -> None:
        """Notice a class or patch that there is not, before anything is drawn.

        Raises:
            InputError: there is none.
        """
        if self.wanted is not None:
            self.model.class_named(self.wanted)
        if self.patch is not None:
            with suppress(NotShown):
                _ = self.at

    @cached_property
    def input(self) -> Tensor:
        """Network input, (1, 3, size, size)."""
        return self.model.input(self.picture.pixels)

    @cached_property
    def shown(self) -> np.ndarray:
        """What the network is shown, uint8 (size, size, 3)."""
        return self.model.shown(self.picture.pixels)

    @cached_property
    def probabilities(self) -> np.ndarray:
        """Of all classes, (classes,)."""
        with torch.no_grad():
            return self.model.network(self.input).softmax(1)[0].cpu().numpy()

    @cached_property
    def target(self) -> int:
        """The class for which evidence is shown."""
        if self.wanted is not None:
            return self.model.class_named(self.wanted)
        return int(self.probabilities.argmax())

    @cached_property
    def target_text(self) -> str:
        """This class and its probability, in words."""
        return f"{self.model.classes[self.target]} ({100 * self.probabilities[self.target]:.0f} %)"

    @cached_property
    def tokens(self) -> Tokens:
        """The sequence of a transformer; raises NotShown for other networks."""
        return tokens_of(self.model.network, self.model.size)

    @cached_property
    def reader(self) -> AttentionReader:
        """Reads attention; raises NotShown where there is none over the whole image."""
        return AttentionReader(self.model.network, self.tokens)

    @cached_property
    def attention(self) -> Tensor:
        """Of this image, (blocks, heads, tokens, tokens), on the CPU; raises NotShown as above."""
        with torch.no_grad():
            _, attention = self.reader(self.input)
        if not attention:
            raise NotShown("its attention cannot be read, or does not reach over the whole image")
        return torch.stack([one[0] for one in attention]).float().cpu().clone()

    @cached_property
    def windows(self) -> list[WindowAttention]:
        """Attention within windows of this image, as in Swin, a block each; empty where there is none."""
        return read_windows(self.model.network, self.input)

    @cached_property
    def maps(self) -> list[Tensor]:
        """Feature maps of the stages or blocks, (1, channels, h, w)."""
        with torch.no_grad():
            return feature_maps(self.model.network, self.input)

    @cached_property
    def steps(self) -> list[Step]:
        """From pixels to logits."""
        return steps_of(self.model.network, self.model.size)

    @cached_property
    def layer_names(self) -> list[str]:
        """Of `maps`: those of the steps that they come out of; counted, where these are not all known."""
        names = [self.steps[k].title.lower() for k in self.ends if k is not None]
        counted = [f"{self.layer_word} {k + 1}" for k in range(len(self.maps))]
        return names if len(set(names)) == len(counted) else counted

    @cached_property
    def ends(self) -> list[int | None]:
        """Of each of `maps` the position of the step that it comes out of; None where timm does not say."""
        modules = [info["module"] for info in self.model.network.feature_info]
        return [
            next((k for k, step in enumerate(self.steps) if within(module, step.modules)), None)
            for module in modules[: len(self.maps)]
        ]

    @cached_property
    def layer_word(self) -> str:
        """ "block" of a transformer with one sequence of tokens, else "stage"."""
        try:
            return "block" if self.tokens.count else "stage"
        except NotShown:
            return "stage"

    @property
    def at(self) -> tuple[int, int]:
        """Row and column from 0 of the patch whose attention is shown.

        Raises:
            InputError: there is no such patch.
            NotShown: there are no patches that attend.
        """
        finest = self.windows[0] if self.windows else self.tokens
        (rows, columns), (height, width) = finest.grid, finest.patch
        if self.patch is None:
            pixels = self.shown[: rows * height, : columns * width].reshape(rows, height, columns, width, 3)
            row, column = divmod(int(pixels.astype(float).var((1, 3)).sum(-1).argmax()), columns)
            return row, column
        row, column = self.patch
        if not (1 <= row <= rows and 1 <= column <= columns):
            raise InputError(f"--patch {row},{column}: {self.model.title} has 1,1 to {rows},{columns}")
        return row - 1, column - 1


def within(module: str, of_step: Sequence[str]) -> bool:
    """Whether a module is one of a step's, or lies in one."""
    return any(f"{module}.".startswith(f"{name}.") for name in of_step)


def spread_over(count: int, most: int) -> Sequence[int]:
    """At most so many of 0..count-1, evenly, first and last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int)).tolist()
