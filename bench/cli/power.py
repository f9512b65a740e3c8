"""vcbench power: how many replicates and test images a suite's contrasts need."""

from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.common import (
    DEFAULT_RESULTS,
    Json,
    Results,
    Setting,
    SuiteName,
    existing_store,
    print_columns,
    print_json,
    stored_suite,
)
from bench.errors import InputError

if TYPE_CHECKING:
    from bench.analysis.sizes_needed import Need


def power(
    suite: SuiteName,
    results: Results = DEFAULT_RESULTS,
    settings: Setting = None,
    delta: Annotated[
        float | None,
        typer.Option(
            "--delta", help="The true difference in accuracy, as a fraction [default: the suite's]."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Say how many replicates, or how many test images, would find a true difference of delta.

    From the spread between runs and between test images that the stored trials have, contrast by contrast:
    how probable it is now to find such a difference (POWER), and with how many replicates, or else with how
    many test images, it would be 0.8. "none": no number would do, as there is too little of the other.

    Example: vcbench power quick --delta 0.02
    """
    from dataclasses import asdict

    from bench.analysis.sizes_needed import sizes_needed
    from bench.store.run_store import RunStore

    store = RunStore(existing_store(results))
    listing = store.suites()[stored_suite(store, suite, settings)]
    difference = listing.delta if delta is None else delta
    if not 0 < difference < 1:
        raise InputError(f"--delta {difference:g}: should be above 0 and below 1")
    needs = sizes_needed(listing, store, difference)
    if not needs:
        raise InputError(
            f"{listing.suite}: declares no primary contrast, so that no difference is to be found"
        )
    if as_json:
        contrasts = [asdict(need.pair) | asdict(need) for need in needs]
        print_json({"suite": listing.suite, "delta": difference, "contrasts": contrasts})
        return
    print_columns([_row(need) for need in needs], HEADER)
    points = f"{100 * difference:g} point{'' if difference == 0.01 else 's'}"
    print(f"\nTo find a true difference of {points} with probability 0.8.")


HEADER = ("COMPARISON", "SHOTS", "A", "B", "N", "IMAGES", "POWER", "NEEDS REPLICATES", "OR IMAGES")


def _row(need: "Need") -> tuple[str, ...]:
    from bench.analysis.power import MOST

    pair, found = need.pair, need.sizes
    shots = "all" if pair.shots is None else str(pair.shots)
    first = (pair.comparison, shots, pair.a, pair.b, str(need.replicates), str(need.images or "-"))
    if found is None:
        return (*first, "-", need.note, "-")
    replicates = f"over {MOST}" if found.replicates is None else str(found.replicates)
    images = f"over {MOST} times as many" if found.images is None else f"{found.images:,}"
    if "images" in found.limited_by:
        replicates = "none: too few images"
    if "replicates" in found.limited_by:
        images = "none: too few replicates"
    return (*first, f"{found.power:.2f}", replicates, images)
