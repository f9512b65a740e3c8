"""On what it was measured, and how to do it again."""

import pandas as pd

from bench.report.blocks import Code, Column, Section, Table, number
from bench.report.commands import STORE, RerunCommands
from bench.report.evidence import Evidence
from bench.report.text import count, listed, span
from bench.store.records.profiles import ProfileRecord
from bench.store.records.trials import Result


def machines(evidence: Evidence) -> Section:
    """The machines with the library versions and commits that ran on them."""
    title = "Machines and versions"
    ran = [record for _, record in sorted(evidence.records.items())]
    timed = [profile for profile in evidence.profiles if profile.machine]
    if not ran and not timed:
        return Section.of("machines", title)
    every: list[Result | ProfileRecord] = [*ran, *timed]
    facts = pd.DataFrame(
        {
            "machine": ", ".join(filter(None, (record.machine, record.instructions))),
            "device": record.device,
            "versions": ", ".join(f"{name} {number}" for name, number in sorted(record.versions.items())),
            "commit": record.commit or "",
            "day": (record.finished or "")[:10],
            "trial": record.kind == "trial",
        }
        for record in every
        if record.device
    )
    groups = [(*key, rows) for key, rows in facts.groupby(["machine", "device", "versions"], sort=True)]
    columns = (
        Column("Machine", lambda group: group[0]),
        Column("Device", lambda group: group[1]),
        number("Trials", lambda group: count(group[3]["trial"].sum())),
        number("Rows of speed and memory", lambda group: count((~group[3]["trial"]).sum())),
        Column("Dates", lambda group: span(group[3]["day"])),
        Column("Versions", lambda group: group[2], wide=True),
        Column("Commit", lambda group: listed(list(map(short_commit, dict.fromkeys(group[3]["commit"]))))),
    )
    caption = "Where and with what trials ran, and speed and memory were measured."
    return Section.of("machines", title, Table.of("machines", caption, columns, groups))


def reproduce(evidence: Evidence) -> Section:
    """The commands, and what they leave where."""
    base = evidence.name.rpartition("+")[0] if evidence.suite.settings else ""
    commands = RerunCommands(evidence)
    return Section.of(
        "reproduce",
        "How to reproduce",
        "The first command trains and measures whatever the run store lacks; the second makes this report "
        "from the store alone, without data, weights or a GPU; the third prints how to cite it. STORE is the "
        "folder of the run store: results for one that you made yourself, results/published for the one "
        "that comes with VCBench.",
        Code(f"{commands.run}\n{commands.report}\n{commands.cite}"),
        "The link runs below a table or figure leads to the commands that make its numbers again and the ids "
        "of the runs behind it; numbers.tex has these above every number. Of any run, by its id, the first "
        "command below tells everything, and the second trains it again and says whether it agrees. The "
        "folder runs/ID of the store holds the settings and history of a trial, evaluations/ its predictions "
        "(of earlier versions runs/ID), and profiles/ID what was timed, weighed or counted.",
        Code(f"vcbench show ID{STORE}\nvcbench reproduce ID{STORE}"),
        f"This suite is a variant of {base}; its name follows from the values given with --set."
        if base
        else None,
    )


def short_commit(commit: str) -> str:
    """A commit as git abbreviates it, with what had been changed since."""
    if not commit:
        return "not recorded"
    digits, plus, _ = commit.partition("+")
    return digits[:9] + (" with changes" if plus else "")
