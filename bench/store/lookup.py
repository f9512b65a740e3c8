"""A trial, profile or external model by its id or the beginning of it, and all that the store knows of it."""

import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bench.errors import InputError, shortened
from bench.spec.suite import suite_argument
from bench.store.layout import Kind
from bench.store.records.external import ExternalRecord
from bench.store.records.listing import Listing, SearchEntry
from bench.store.records.profiles import ProfileRecord
from bench.store.records.trials import Result, TrialRecord
from bench.store.run_store import RunStore

SHOWN = 5
FOLDERS: dict[str, Kind] = {
    "trial": "runs",
    "search": "searches",
    "profile": "profiles",
    "brought": "brought",
}


@dataclass(frozen=True)
class Entry:
    """An entry of the store: its full id and which kind it is."""

    id: str
    kind: Literal["trial", "search", "profile", "brought"]


def find(store: RunStore, text: str) -> Entry:
    """The one trial or profile whose id begins with `text`; those that are listed but not done count too.

    An external model is found by its whole name.

    Raises:
        InputError: there is none, or more than one.
    """
    external, known = store.names("brought"), known_ids(store)
    if text in external and text in known:
        raise InputError(
            f'{store.root}: "{text}" is a run and an external model; give the latter another name'
        )
    if text in external:
        return Entry(text, "brought")
    text = text.strip().lower()
    matches = sorted(run for run in known if text and run.startswith(text))
    if not matches:
        raise InputError(
            f'{store.root}: no run or profile "{shortened(text, 60)}" ({len(known)} are here: vcbench tables)'
        )
    if len(matches) > 1 and text not in matches:
        some = ", ".join(matches[:SHOWN]) + (", ..." if len(matches) > SHOWN else "")
        raise InputError(f'{store.root}: "{text}" is the beginning of {len(matches)} ids: {some}')
    run = text if text in matches else matches[0]
    return Entry(run, known[run])


def in_suites(store: RunStore, run: str) -> list[dict[str, Any]]:
    """Where a trial or profile is in the suites: suite, and for a trial its cell and replicate."""
    rows: list[dict[str, Any]] = []
    for name, listing in store.suites().items():
        rows += [
            {"suite": name, "comparison": one.comparison, "contestant": one.contestant}
            | {"shots": one.shots, "replicate": one.replicate}
            for one in (listing.runs | listing.trainings).get(run, ())
        ]
        rows += [
            {"suite": name, "comparison": one.comparison, "contestant": one.contestant, "shots": one.shots}
            for one in _searches_of(listing, run)
        ]
        if run in listing.profiles:
            rows.append({"suite": name})
    return rows


def _searches_of(listing: Listing, job: str) -> list[SearchEntry]:
    return [one for one in listing.searches if any(job in tried.jobs for tried in one.tried)]


def run_command(listing: Listing, store: Path) -> str:
    """What to type from here to run a suite again as it was run, without options of one's own.

    Args:
        store: the folder from which the listing tells where the suite's file lies.
    """
    name = listing.suite.rpartition("+")[0] if listing.settings else listing.suite
    if listing.file is not None:
        name = os.path.relpath((store / listing.file).resolve()).removesuffix(".toml")
    settings = "".join(f" --set {shlex.quote(one)}" for one in listing.settings)
    return f"vcbench run {suite_argument(name)}{settings}"


def own_images(store: RunStore, run: str) -> str | None:
    """Where one's own images of a trial or search job lay, as folder:PATH, by a suite; else None."""
    for listing in store.suites().values():
        images = {comparison.name: comparison.images for comparison in listing.comparisons}
        for entry in (*(listing.runs | listing.trainings).get(run, ()), *_searches_of(listing, run)):
            if images[entry.comparison]:
                return images[entry.comparison]
    return None


def record_of(store: RunStore, entry: Entry) -> Result | TrialRecord | ProfileRecord | ExternalRecord | None:
    """The record of an entry, if it is done."""
    if entry.kind == "trial":
        return store.result(entry.id)
    if entry.kind == "search":
        return store.search(entry.id)
    return store.profile(entry.id) if entry.kind == "profile" else store.external(entry.id)


def require_one_network(record: TrialRecord) -> None:
    """Refuse a repeat of k-fold where one network is wanted.

    Raises:
        InputError: it has one network a fold; they are named.
    """
    if folds := record.details.get("folds"):
        raise InputError(
            f"{record.id}: is what the {len(folds)} networks of a repeat of k-fold come to together; name "
            f"the run of one: {', '.join(folds)}"
        )


def describe(store: RunStore, entry: Entry) -> dict[str, Any]:
    """Everything about a trial, a profile or an external model, as plain data.

    Returns:
        id, kind; state (`done`, `begun`, `errored` or `missing`); record, None until it is done; error, what
        went wrong when it was last tried; suites, as `in_suites`; files, the size in bytes of each.
    """
    record, is_trial = record_of(store, entry), entry.kind == "trial"
    error = store.error(entry.id) if is_trial else None
    paths = sorted(store.folder_of(FOLDERS[entry.kind], entry.id).glob("[!.]*"))
    sizes = {path.name: path.stat().st_size for path in paths}
    if isinstance(record, Result) and record.evaluation is not None:
        evaluation = store.folder_of("evaluations", record.evaluation.id)
        own = sorted(evaluation.glob("[!.]*"))
        sizes |= {f"{evaluation.parent.name}/{path.name}": path.stat().st_size for path in own}
    return {
        "id": entry.id,
        "kind": entry.kind,
        "state": store.state(entry.id) if is_trial else "done" if record else "missing",
        "record": record.content() if record else None,
        "error": {"attempts": error.attempts, "message": error.message} if error else None,
        "suites": in_suites(store, entry.id),
        "files": sizes,
    }


def known_ids(store: RunStore) -> dict[str, Literal["trial", "search", "profile"]]:
    """The kind of every trial, search job and profile that has a folder or is on a suite's list."""
    known: dict[str, Literal["trial", "search", "profile"]] = {}
    for listing in store.suites().values():
        known |= dict.fromkeys([*listing.runs, *listing.trainings], "trial")
        known |= dict.fromkeys(listing.search_jobs, "search")
        known |= dict.fromkeys(listing.profiles, "profile")
    return (
        known
        | dict.fromkeys(store.names("searches"), "search")
        | dict.fromkeys(store.names("runs"), "trial")
        | dict.fromkeys(store.names("profiles"), "profile")
    )
