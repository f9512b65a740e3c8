"""The commands that make a table's or figure's numbers again, from the ids of the runs behind it."""

import shlex
from collections.abc import Iterable
from typing import Any

from bench.report.evidence import Evidence
from bench.spec.suite import suite_argument
from bench.store.records.profiles import ProfileRecord

STORE = " --results STORE"
"""The folder of the store is the reader's; a report of one store is the same wherever it lies."""

# Options of `vcbench profile` that a record has under the same name; of the shared ones each takes one value.
SHARED = ("classes", "threads")
OPTIONS = ("mode", "batch_size", "input_size", "precision", "memory_format", "allocator", *SHARED)


class RerunCommands:
    """What to type for any of a report's runs and profiles."""

    def __init__(self, evidence: Evidence) -> None:
        settings = evidence.suite.settings
        base = (evidence.name.rpartition("+")[0] if settings else "") or evidence.name
        variant = "".join(f" --set {shlex.quote(value)}" for value in settings)
        self.run = f"vcbench run {suite_argument(base)}{variant}{STORE}"
        self.report = f"vcbench report {_quoted(evidence.name)}{STORE}"
        self.cite = f"vcbench cite {_quoted(evidence.name)}{STORE}"
        self._comparisons = len(evidence.suite.comparisons)
        self._comparison_of = {run: cell.comparison for cell in evidence.cells for run in cell.runs}
        self._listed = set(evidence.suite.profiles)
        self._profiles = {profile.id: profile for profile in evidence.store.profiles()}

    def commands(self, ids: Iterable[str]) -> str:
        """One command a line: what measures these runs, and what makes the report of them."""
        ids = list(ids)
        lines = []
        trained = dict.fromkeys(self._comparison_of[run] for run in ids if run in self._comparison_of)
        if trained:
            only = trained if len(trained) < self._comparisons else ()
            lines.append(self.run + "".join(f" {shlex.quote(f'--only={name}')}" for name in only))
        if self.run not in lines and any(run in self._listed for run in ids):
            lines.append(self.run)
        others = [self._profiles[run] for run in ids if run in self._profiles and run not in self._listed]
        return "\n".join([*lines, *_measured(others), self.report])


def _quoted(text: str) -> str:
    """Text as one word of a shell, and no option where it begins with a hyphen."""
    return shlex.quote(f"./{text}" if text.startswith("-") else text)


def _measured(profiles: list[ProfileRecord]) -> list[str]:
    """`vcbench profile` for what was measured outside of the suite; what has a setting in common together."""
    groups: dict[tuple[Any, ...], list[ProfileRecord]] = {}
    for profile in profiles:
        what = {"loading": "end_to_end"}.get(profile.what, profile.what)
        groups.setdefault((what, *(getattr(profile, name, None) for name in SHARED)), []).append(profile)
    lines = []
    for (what, *_), members in groups.items():
        models = sorted({member.model for member in members if member.model})
        options = [_option(name, members) for name in OPTIONS]
        compiled = " --compile" if any(getattr(member, "compiled", None) for member in members) else ""
        names = " ".join(map(_quoted, models)) or "MODEL"
        lines.append(f"vcbench profile {names} --what {shlex.quote(what)}{''.join(options)}{compiled}{STORE}")
    return lines


def _option(name: str, members: list[ProfileRecord]) -> str:
    values = sorted({value for one in members if (value := getattr(one, name, None)) is not None})
    flag = name.replace("_", "-")
    return f" --{flag} {shlex.quote(','.join(map(str, values)))}" if values else ""
