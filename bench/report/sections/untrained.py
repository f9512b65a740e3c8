"""What stands first in the report on a suite that trains nothing."""

from bench.report.blocks import Column, Field, Prose, Section, Table
from bench.report.evidence import Evidence
from bench.report.text import NOT_MEASURED


def untrained(evidence: Evidence) -> Section:
    """That nothing is said of accuracy, and the models with what was measured of each."""
    text = (
        "This suite trains nothing, so this report says nothing of accuracy. It shows what its models cost "
        "and how fast they run; no model is called better than another."
    )
    tables = {name: evidence.measured[name] for name in ("speed", "memory", "scaling", "end_to_end")}
    tables = {"cost": evidence.cost, **tables}
    columns = (Column("Model"), Column("Card"), Column("Measured", wide=True))
    rows = tuple(
        (
            Field(evidence.titles[model], look=look),
            Field(model, code=True),
            Field(
                ", ".join(
                    name.replace("_", " ")
                    for name, table in tables.items()
                    if (table["model"] == model).any()
                )
                or NOT_MEASURED
            ),
        )
        for model, look in evidence.model_looks.items()
    )
    caption = "The models, as they are drawn in the figures, and what was measured of them."
    return Section("answer", "What was measured", (Prose(text), Table("models", caption, columns, rows)))
