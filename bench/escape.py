"""Text that somebody else named, made safe for where it is written: a file's name, a terminal, a CSV file.

LaTeX and Markdown are in `bench.report.writers`; HTML is escaped by jinja, shell words by `shlex.quote`.
"""

import re
from typing import Any

# Control characters but tab and line feed, line separators, what turns the direction of text around, halves
# of a surrogate pair. Marks within Arabic or Hebrew words and joiners of emoji stay.
INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
# What spreadsheets take for the beginning of a formula (OWASP, "CSV Injection"), full-width
# signs of Japanese keyboards among it.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def visible(text: str) -> str:
    """The text with characters that hide or reorder others shown by their numbers, as in [U+202E]."""
    return INVISIBLE.sub(lambda match: f"[U+{ord(match[0]):04X}]", text)


def all_visible(value: Any) -> Any:
    """Plain data with `visible` texts and keys."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, list):
        return [all_visible(item) for item in value]
    if isinstance(value, dict):
        return {visible(key): all_visible(item) for key, item in value.items()}
    return value


def csv_text(value: Any) -> Any:
    """A value for a CSV file: an apostrophe before text that a spreadsheet would run as a formula.

    Numbers, and texts that are one, stay as they are. Parquet files have every text as it is.
    """
    if not isinstance(value, str) or not value.startswith(FORMULA) or _is_number(value):
        return value
    return f"'{value}"


def text_of_csv(text: str) -> str:
    """The text of which `csv_text` made this one."""
    return text[1:] if text.startswith("'") and csv_text(text[1:]) == text else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
