"""Text from outside, so that LaTeX and BibTeX print it as it stands."""

LATEX = {
    "\\": r"\textbackslash{}",
    # Braces by name: BibTeX counts even escaped ones.
    "{": r"\textbraceleft{}",
    "}": r"\textbraceright{}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "_": r"\_",
    "%": r"\%",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"{\char34}",
    # Not to be taken for an option of the end of a row before it.
    "[": "{[}",
    "*": "{*}",
    "\u00b1": r"$\pm$",
    "\u00b7": r"$\cdot$",
    "\u00d7": r"$\times$",
    "\u2192": r"$\rightarrow$",
    "\u2212": r"$-$",
    "\u2264": r"$\leq$",
    "\u2265": r"$\geq$",
    "\u202f": r"\,",
}
# What pdflatex sets without further packages: ASCII, the letters of western Europe, dashes and quotes, but
# not those that its own font encoding (OT1) lacks, such as eth, thorn and all with an ogonek.
PRINTABLE = {chr(code) for code in (*range(0x20, 0x7F), *range(0xC0, 0x180))}
PRINTABLE -= set("ÐÞðþĄąĐđĘęĦħĮįĸĿŀŉŊŋŦŧŲųſ")
PRINTABLE |= set("\u2013\u2014\u2018\u2019\u201c\u201d\u2026")


def latex(text: str) -> str:
    """Text for LaTeX or a field of BibTeX, on one line; a character without a font is given by its number."""
    # Not str.split() alone, to which the narrow space between groups of digits is a space too.
    shown = "".join(sign if sign.isprintable() or sign in LATEX else " " for sign in text)
    return "".join(_sign(sign) for sign in " ".join(filter(None, shown.split(" "))))


def _sign(sign: str) -> str:
    return LATEX.get(sign) or (sign if sign in PRINTABLE else f"{LATEX['[']}U+{ord(sign):04X}]")
