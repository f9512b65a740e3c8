"""On what it was measured, and how to do it again."""

from typing import TYPE_CHECKING

import pandas as pd

from bench.report.blocks import Block, Code, Column, Field, Prose, Section, Table, not_measured
from bench.report.evidence import Evidence
from bench.report.remake import STORE, Remake
from bench.report.text import count, listed

if TYPE_CHECKING:
    from bench.store.records import ProfileRecord, TrialRecord


def machines(evidence: Evidence) -> Section:
    """The machines with the library versions and commits that ran on them."""
    title = "Machines and versions"
    ran = [record for _, record in sorted(evidence.records.items())]
    timed = [profile for profile in evidence.profiles if profile.machine]
    if not ran and not timed:
        return not_measured("machines", title, "no trial of this suite has an outcome yet")
    every: list[TrialRecord | ProfileRecord] = [*ran, *timed]
    facts = pd.DataFrame(
        {
            "machine": record.machine,
            "device": record.device,
            "versions": ", ".join(f"{name} {number}" for name, number in sorted(record.versions.items())),
            "commit": record.commit or "",
            "day": (record.finished or "")[:10],
            "trial": record.kind == "trial",
        }
        for record in every
        if record.device
    )
    columns = (
        Column("Machine"),
        Column("Device"),
        Column("Trials", numeric=True),
        Column("Rows of speed and memory", numeric=True),
        Column("Dates"),
        Column("Versions", wide=True),
        Column("Commit"),
    )
    rows = tuple(
        (
            Field(machine),
            Field(device),
            Field(count(group["trial"].sum())),
            Field(count((~group["trial"]).sum())),
            Field(" to ".join(dict.fromkeys((group["day"].min(), group["day"].max())))),
            Field(versions),
            Field(listed([short_commit(c) for c in dict.fromkeys(group["commit"])])),
        )
        for (machine, device, versions), group in facts.groupby(["machine", "device", "versions"], sort=True)
    )
    caption = "Where and with what trials ran, and speed and memory were measured."
    table = Table("machines", caption, columns, rows)
    return Section("machines", title, (table,))


def reproduce(evidence: Evidence) -> Section:
    """The commands, and what they leave where."""
    base, plus, _ = evidence.name.rpartition("+") if evidence.suite.settings else ("", "", "")
    remake = Remake(evidence)
    blocks: list[Block] = [
        Prose(
            "The first command trains and measures whatever the run store lacks; the second makes this "
            "report from the store alone, without data, weights or a GPU; the third prints how to cite it. "
            "STORE is the folder of the run store: results for one that you made yourself, "
            "results/published for the one that comes with VCBench."
        ),
        Code(f"{remake.run}\n{remake.report}\n{remake.cite}"),
        Prose(
            "Below every table and figure stand the commands that make its numbers again and the ids of the "
            "runs behind it, which numbers.tex has above every number. Of any run, by its id, the first "
            "command below tells everything, and the second trains it again and says whether it agrees. The "
            "folder runs/ID of the store holds its settings, history and predictions."
        ),
        Code(f"vcbench show ID{STORE}\nvcbench reproduce ID{STORE}"),
    ]
    if plus:
        text = f"This suite is a variant of {base}; its name follows from the values given with --set."
        blocks.append(Prose(text))
    return Section("reproduce", "How to reproduce", tuple(blocks))


def short_commit(commit: str) -> str:
    """A commit as git abbreviates it, with what had been changed since."""
    if not commit:
        return "not recorded"
    digits, plus, _ = commit.partition("+")
    return digits[:9] + (" with changes" if plus else "")
