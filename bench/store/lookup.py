"""A run or profile by its id or the beginning of it, and all that the store knows of it."""

from dataclasses import dataclass
from typing import Any, Literal

from bench.errors import InputError, shortened
from bench.files import read_json
from bench.store.run_store import RunStore

SHOWN = 5

Kind = Literal["trial", "profile", "brought"]


@dataclass(frozen=True)
class Found:
    """An entry of the store: its full id and which kind it is."""

    id: str
    kind: Kind


def find(store: RunStore, text: str) -> Found:
    """The one run or profile whose id begins with `text`; those that are listed but not done count too.

    A model brought from outside is found by its whole name.

    Raises:
        InputError: there is none, or more than one.
    """
    brought = {path.parent.name for path in (store.root / "brought").glob("*/record.json")}
    known = _known(store)
    if text in brought and text in known:
        raise InputError(f'{store.root}: "{text}" is a run and a brought model; give the latter another name')
    if text in brought:
        return Found(text, "brought")
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
    return Found(run, known[run])


def places(store: RunStore, run: str) -> list[dict[str, Any]]:
    """Every place of a run or profile in the suites: suite, and for a trial its cell and replicate."""
    found = []
    for name, listing in store.suites().items():
        found += [
            {"suite": name} | {key: entry[key] for key in ("comparison", "contestant", "shots", "replicate")}
            for entry in listing["trials"]
            if entry["id"] == run
        ]
        if run in listing["profiles"]:
            found.append({"suite": name})
    return found


def own_images(store: RunStore, run: str) -> str | None:
    """Where one's own images of a trial lay, as folder:PATH, by a suite of the store; else None."""
    for listing in store.suites().values():
        known = {comparison["name"]: comparison.get("images") for comparison in listing["comparisons"]}
        for entry in listing["trials"]:
            if entry["id"] == run and known[entry["comparison"]]:
                return known[entry["comparison"]]
    return None


def describe(store: RunStore, found: Found) -> dict[str, Any]:
    """Everything about a run, a profile or a brought model, as plain data.

    Returns:
        id, kind; state (`done`, `begun`, `errored` or `missing`); record, None until it is done; error, what
        went wrong when it was last tried; places, as `places`; files, the size in bytes of each of its files.
    """
    folder = store.root / "brought" / found.id if found.kind == "brought" else store.folder(found.id)
    record = folder / "record.json"
    done = "done" if record.exists() else "missing"
    return {
        "id": found.id,
        "kind": found.kind,
        "state": store.state(found.id) if found.kind == "trial" else done,
        "record": read_json(record) if record.exists() else None,
        "error": store.error(found.id) if found.kind == "trial" else None,
        "places": places(store, found.id),
        "files": {path.name: path.stat().st_size for path in sorted(folder.glob("[!.]*"))},
    }


def _known(store: RunStore) -> dict[str, Kind]:
    """All ids, of folders and of the suites' lists."""
    known: dict[str, Kind] = {}
    for listing in store.suites().values():
        known |= dict.fromkeys((entry["id"] for entry in listing["trials"] if entry["id"]), "trial")
        known |= dict.fromkeys(listing["profiles"], "profile")
    for kind, name in (("trial", "runs"), ("profile", "profiles")):
        known |= dict.fromkeys((folder.name for folder in (store.root / name).glob("[!.]*")), kind)
    return known
