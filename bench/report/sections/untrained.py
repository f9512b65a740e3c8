"""What stands first in the report on a suite that trains nothing."""

from bench.report.blocks import Column, Field, Section, Table
from bench.report.evidence import Evidence
from bench.report.text import NOT_MEASURED


def untrained(evidence: Evidence) -> Section:
    """That nothing is said of accuracy, and the models with what was measured of each."""
    text = (
        "This suite trains nothing, so this report says nothing of accuracy. It shows what its models cost "
        "and how fast they run; no model is called better than another."
    )
    tables = {"cost": evidence.cost} | {
        name.replace("_", " "): evidence.measured[name]
        for name in ("speed", "memory", "scaling", "end_to_end")
    }

    def measured(model: str) -> str:
        names = [name for name, table in tables.items() if (table["model"] == model).any()]
        return ", ".join(names) or NOT_MEASURED

    columns = (
        Column("Model", evidence.model_title),
        Column("Card", lambda model: Field(model, code=True)),
        Column("Measured", measured, wide=True),
    )
    caption = "The models, as they are drawn in the figures, and what was measured of them."
    table = Table.of("models", caption, columns, evidence.model_styles)
    return Section.of("answer", "What was measured", text, table)
