"""The report as Markdown, for a repository: the page and its appendix; figures are linked from figures/."""

import re
from typing import Any

from markupsafe import Markup

from bench.report.document import APPENDIX, INDEX, Document
from bench.report.writers.fill import environment, fill

LIST = re.compile(r"^(\d*)([-+=.)])")
SPECIAL = re.compile(r"([\\`*_\[\]|#$~])")
IN_HTML = re.compile(r"[\\`*_\[\]|#$~&<>]")


def to_markdown(document: Document, file: str = INDEX) -> str:
    """The page or its appendix (`file`)."""
    return fill(TEXTS, "page.md", document, file, {INDEX: "report.md", APPENDIX: "appendix.md"})


def escape(text: str) -> str:
    """Text that Markdown and HTML show as it stands, on one line."""
    text = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return SPECIAL.sub(r"\\\1", text)


def paragraph(text: str) -> Markup:
    """As `escape`, of a paragraph, whose beginning is no list, rule or heading."""
    return Markup(LIST.sub(r"\1\\\2", escape(text)))


def in_html(text: str) -> Markup:
    """Text between HTML tags at the start of a line, where CommonMark reads no Markdown and others may: by
    the numbers of its special signs, on one line."""
    return Markup(IN_HTML.sub(lambda sign: f"&#{ord(sign[0])};", " ".join(text.split())))


def fence(text: str) -> Markup:
    """Backticks to stand around code, more than in any row of them in it (CommonMark), so that nothing ends
    it."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    return Markup("`" * max(3, longest + 1))


def _escaped(value: Any) -> Markup:
    return value if isinstance(value, Markup) else Markup(escape(str(value)))


TEXTS = environment(finalize=_escaped, paragraph=paragraph, fence=fence, in_html=in_html)
"""The templates of Markdown."""
