"""Model cards: one TOML file a model."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PositiveInt, model_validator

from bench.spec.toml import Strict, load_toml

# In a clone the cards lie in its folder models/; installed, they lie within the package.
PACKAGE = Path(__file__).parent.parent
CARDS = next(folder for folder in (PACKAGE / "cards", PACKAGE.parent / "models") if folder.is_dir())

Channels = tuple[float, float, float]
ModelKind = Literal["transformer", "cnn", "unknown"]


class Card(Strict):
    """What a model is, and what its pretrained weights were trained on."""

    name: str
    """The file's name without `.toml`: timm's name where timm has one."""
    title: str
    """The name for display, such as "ViT-B/16"."""
    architecture: str
    """The network in timm that `options` and `stem` start from."""
    options: dict[str, int | float | bool | str | list[int]] = {}
    """Keyword arguments of the architecture in timm."""
    stem: Literal["cifar"] | None = None
    """"cifar": a 3x3 convolution of stride 1 and no max-pooling, for images of a few dozen pixels."""
    family: str
    kind: ModelKind
    input_size: PositiveInt
    """The side in pixels that the weights were trained at."""
    patch: PositiveInt | None = None
    """The side of a patch in pixels; input sizes are multiples of it."""
    mean: Channels
    std: Channels
    tag: str | None = None
    """timm's tag of the pretrained weights on the Hugging Face hub."""
    pretraining: str
    """What the weights were trained on; "none" when there are none."""
    upstream_top1: Annotated[float, Field(ge=0, le=1)] | None = None
    """ImageNet-1k validation accuracy at `input_size`, a fraction."""
    copy_of: str | None = None
    """The model whose weights these are after a change (rounded, quantised); the title says which."""
    upstream_source: str = ""
    """Where `upstream_top1` was read."""
    licence: str
    """SPDX identifier of the weights' licence, or of timm's code where there are no weights."""
    note: str = ""
    carded: bool = True
    """False when the card was made from timm's own configuration."""

    @model_validator(mode="after")
    def _copy_has_its_own_name(self) -> "Card":
        if self.copy_of is not None and self.upstream_top1 is not None:
            raise ValueError(
                "upstream_top1 should be left out where there is copy_of: it is of other weights"
            )
        if self.copy_of is not None and "(" not in self.title:
            raise ValueError(f'title should say what was changed, as in "{self.title} (rounded)"')
        return self

    @property
    def memory_format(self) -> Literal["contiguous", "channels_last"]:
        """The memory layout in which the model is trained and measured: CNNs in channels_last."""
        return "channels_last" if self.kind == "cnn" else "contiguous"


def list_cards(folder: Path = CARDS) -> list[str]:
    """The names that have a card, sorted."""
    return sorted(path.stem for path in folder.glob("*.toml"))


def read_card(name: str, folder: Path = CARDS) -> Card:
    """The card in a file.

    Raises:
        InputError: it cannot be read, or a key is wrong.
    """
    return load_toml(folder / f"{name}.toml", Card, name=name)
