"""vcbench inspect, explain: what is inside a network, as pictures."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.common import (
    DEFAULT_RESULTS,
    DataDir,
    Device,
    Results,
    WeightsDir,
    data_folder,
    weights_folder,
)
from bench.errors import InputError, shortened

if TYPE_CHECKING:
    from bench.inspection.view import View

Model = Annotated[
    str, typer.Argument(metavar="MODEL|RUN", help="A model card, a model of timm, or a run of the store.")
]
WeightsOption = Annotated[
    str | None,
    typer.Option(
        "--weights",
        help="card: pretrained, from a local file or the hub; none: random; file:PATH [default: card where "
        "the model has pretrained weights]. A run has its own.",
        show_default=False,
    ),
]
InputSize = Annotated[
    int | None,
    typer.Option(
        "--input-size",
        metavar="PX",
        min=8,
        max=2048,
        help="[default: the model's, or the run's]",
        show_default=False,
    ),
]


def inspect(
    model: Model,
    beside: Annotated[
        str | None, typer.Option("--beside", metavar="MODEL|RUN", help="A second one, drawn beside it.")
    ] = None,
    image: Annotated[
        str | None,
        typer.Option(
            "--image",
            metavar="PATH",
            help="Any image file; or flower, apart, texture, which are drawn here [default: flower].",
            show_default=False,
        ),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            "--dataset",
            metavar="NAME",
            help="Take the image, averages and probes from a dataset, or folder:PATH.",
        ),
    ] = None,
    index: Annotated[int, typer.Option("--index", help="Which image of the split, from 0.")] = 0,
    split: Annotated[str, typer.Option("--split", help="train or val; never test.")] = "val",
    wanted: Annotated[
        str | None,
        typer.Option(
            "--class", metavar="NAME", help="The class whose evidence is drawn [default: the predicted one]."
        ),
    ] = None,
    patch: Annotated[
        str | None,
        typer.Option(
            "--patch",
            metavar="ROW,COLUMN",
            help="The patch whose attention is drawn [default: the most detailed].",
        ),
    ] = None,
    images: Annotated[
        int, typer.Option("--images", min=16, max=100_000, help="How many images averages take.")
    ] = 64,
    weights: WeightsOption = None,
    input_size: InputSize = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="DIR", help="Where to [default: reports/inside-MODEL].", show_default=False
        ),
    ] = None,
    page_only: Annotated[
        bool, typer.Option("--page-only", help="Write the page alone, without a file for each picture.")
    ] = False,
    results: Results = DEFAULT_RESULTS,
    data_dir: DataDir = None,
    weights_dir: WeightsDir = None,
    device: Device = "auto",
) -> None:
    """Draw what is inside a network: attention, filters, receptive fields, evidence for a class.

    DIR gets a page, index.html, and each picture as PNG and SVG with its numbers as CSV. What a network does
    not have is left out, with a line that says why. A second network is drawn in the same pictures.

    Example: vcbench inspect deit_tiny_patch16_224 --beside resnet50 --image photo.jpg
    """
    from rich.console import Console

    from bench.inspection.gallery import draw
    from bench.inspection.opening import Request, open_views
    from bench.machine import choose_device

    folder = data_folder(data_dir)
    request = Request(
        models=(model, *([beside] if beside else [])),
        image=image,
        dataset=dataset,
        index=index,
        split=split,
        wanted=wanted,
        patch=_row_and_column(patch),
        images=images,
        weights=weights,
        input_size=input_size,
    )
    views, probes = open_views(
        request,
        results=results,
        data_dir=folder,
        weights_dir=weights_folder(weights_dir, folder),
        device=choose_device(device),
    )
    target = out or Path("reports") / f"inside-{'-'.join(view.model.name for view in views)}"
    if dataset is not None:
        from bench.cli.pictures import refuse_if_committed

        refuse_if_committed(target)
    with Console(stderr=True).status("") as status:
        gallery = draw(views, probes, lambda name: status.update(f"drawing {name}"))
    page = gallery.write(target, page_only=page_only)
    for line in gallery.left_out:
        print(f"left out: {line}")
    print(f"{page}: {len(gallery.pictures)} pictures of {_named(views)}")


def _named(views: "list[View]") -> str:
    return " and ".join(view.model.title for view in views)


def _row_and_column(text: str | None) -> tuple[int, int] | None:
    """`--patch ROW,COLUMN`.

    Raises:
        InputError: it is neither.
    """
    if text is None:
        return None
    match = re.fullmatch(r"([0-9]{1,4}),([0-9]{1,4})", text.strip())
    if match is None:
        raise InputError(f"--patch {shortened(text)}: should be ROW,COLUMN, counted from 1, as in 3,7")
    return int(match[1]), int(match[2])


def explain(
    model: Model,
    other: Annotated[
        str | None, typer.Argument(metavar="OTHER", help="A second one beside it: best a ViT and a CNN.")
    ] = None,
    image: Annotated[
        str | None,
        typer.Option("--image", metavar="PATH", help="An image of yours, before those that are drawn here."),
    ] = None,
    weights: WeightsOption = None,
    input_size: InputSize = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="Where to [default: reports/explain-MODEL.html].",
            show_default=False,
        ),
    ] = None,
    results: Results = DEFAULT_RESULTS,
    data_dir: DataDir = None,
    weights_dir: WeightsDir = None,
    device: Device = "auto",
) -> None:
    """Make a page that follows one image through a network, or through two side by side, step by step.

    It is one file that needs no network, to be projected: with shapes, parameters and FLOPs of every step,
    and for every block, head and patch what it attends to.

    Example: vcbench explain deit_tiny_patch16_224 resnet50
    """
    from rich.console import Console

    from bench.inspection.examples import EXAMPLES
    from bench.inspection.images import example
    from bench.inspection.opening import Request, open_views
    from bench.inspection.walkthrough import explain as write
    from bench.machine import choose_device

    folder = data_folder(data_dir)
    request = Request((model, *([other] if other else [])), image, weights=weights, input_size=input_size)
    views, _ = open_views(
        request,
        results=results,
        data_dir=folder,
        weights_dir=weights_folder(weights_dir, folder),
        device=choose_device(device),
    )
    drawn = [example(name) for name in EXAMPLES if name != (image or next(iter(EXAMPLES)))]
    target = out or Path("reports") / f"explain-{'-'.join(view.model.name for view in views)}.html"
    with Console(stderr=True).status("drawing"):
        page = write(views, [views[0].picture, *drawn], target)
    print(f"{page}: {page.stat().st_size / 1e6:.1f} MB, {_named(views)}")
