"""Pretrained weights: which file they come from, and its fingerprint."""

import threading
import urllib.error
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bench.errors import InputError, WeightsError, first_line
from bench.files import from_user, sha256_file
from bench.spec.card import Card

HUB_FILE = "model.safetensors"
HUB_SECONDS = 3.0


@dataclass(frozen=True)
class Weights:
    """The weights that a network starts from."""

    requested: str
    """"none", "card" or "file:PATH"."""
    fingerprint: str
    """SHA-256 of the file, or "none"."""
    path: Path | None
    source: str
    """Where they came from, in words."""


def resolve_weights(card: Card, requested: str, weights_dir: Path, *, download: bool) -> Weights:
    """Find the weights that were asked for.

    "none" starts from random initialisation. "card" takes `<card.name>.safetensors` in `weights_dir`
    if it is there, else the hub's file for the card's tag from the local Hugging Face cache, which is
    filled only where `download` allows it. "file:PATH" is a safetensors file; a relative path is
    looked for in `weights_dir`, then in the current folder.

    Raises:
        InputError: `requested` is none of these.
        WeightsError: there is no such file; without a network within seconds.
    """
    if requested == "none":
        return Weights(requested, "none", None, "none (random initialisation)")
    if requested == "card":
        path, source = _of_card(card, weights_dir, download=download)
    elif requested.startswith("file:") and requested != "file:":
        path, source = _of_file(requested.removeprefix("file:"), weights_dir)
    else:
        raise InputError(f'weights "{requested}" of {card.name}: must be "none", "card" or "file:PATH"')
    return Weights(requested, sha256_file(path), path, source)


def has_weights(card: Card, weights_dir: Path) -> bool:
    """Whether the pretrained weights of a card are on this machine; they are not read."""
    if (weights_dir / f"{card.name}.safetensors").is_file():
        return True
    if card.tag is None:
        return False
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(f"timm/{card.architecture}.{card.tag}", HUB_FILE), str)


def and_others(error: WeightsError, cards: Iterable[Card], weights_dir: Path) -> WeightsError:
    """The error of one model's weights with the names of the others whose pretrained ones are not here."""
    missing = sorted({card.name for card in cards if not has_weights(card, weights_dir)})
    others = [name for name in missing if not str(error).startswith(f"{name}: ")]
    return WeightsError(f"{error}; missing too: {', '.join(others)}") if others else error


def _of_card(card: Card, weights_dir: Path, *, download: bool) -> tuple[Path, str]:
    local = weights_dir / f"{card.name}.safetensors"
    if local.is_file():
        return local, f"file {local.name} in the weights directory"
    if card.tag is None:
        raise WeightsError(
            f"{card.name}: no pretrained weights: there is no {local}, and the card has no tag of the hub; "
            'put the file there (a suite with weights = "none" trains from random ones)'
        )
    from huggingface_hub import try_to_load_from_cache

    repository = f"timm/{card.architecture}.{card.tag}"
    cached = try_to_load_from_cache(repository, HUB_FILE)
    if isinstance(cached, str):
        return Path(cached), f"{repository} on the Hugging Face hub"
    missing = (
        f"{card.name}: neither {local} nor {HUB_FILE} of {repository} in the Hugging Face cache is there"
    )
    if not download:
        raise WeightsError(
            f"{missing}; put the file in the weights directory, "
            "or run where the Hugging Face hub can be reached"
        )
    return _download(repository, missing), f"{repository} on the Hugging Face hub"


def _of_file(name: str, weights_dir: Path) -> tuple[Path, str]:
    given = from_user(name)
    tried = [weights_dir / given, Path.cwd() / given]  # both are `given` itself where that is absolute
    for path in tried:
        if path.is_file():
            return path, f"file {name}"
    paths = " or ".join(dict.fromkeys(str(path) for path in tried))
    raise WeightsError(f'weights "file:{name}": there is no file {paths}')


def _download(repository: str, missing: str) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.constants import ENDPOINT

    # The hub's own client tries again for half a minute where there is no network.
    if not hub_answers():
        raise WeightsError(
            f"{missing}, and {ENDPOINT} does not answer; download it on a machine with a network"
        )
    try:
        return Path(hf_hub_download(repository, HUB_FILE, etag_timeout=HUB_SECONDS))
    # Of the hub's HTTP client, which changes with its version, and of Xet, which has no class of its own.
    except Exception as error:
        reason = first_line(error)
        raise WeightsError(
            f"{missing}, and the download failed ({type(error).__name__}: {reason})"
        ) from error


def hub_answers() -> bool:
    """Whether weights can be fetched from here, known within `HUB_SECONDS`."""
    from huggingface_hub.constants import ENDPOINT

    return _answers(ENDPOINT, HUB_SECONDS)


def _answers(address: str, seconds: float) -> bool:
    """Whether a server answers at all, known after `seconds` at the latest, slow name lookups included."""
    answered = threading.Event()

    def ask() -> None:
        request = urllib.request.Request(address, method="HEAD")
        try:
            urllib.request.urlopen(request, timeout=seconds).close()
        except urllib.error.HTTPError:
            pass  # a refusal is an answer
        except OSError:
            return
        answered.set()

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(seconds)
    return answered.is_set()
