"""What a page may run and load: its own style and script, known by their hashes, and pictures within it.

Whatever else gets into a page, by a name or a figure that somebody else made, is not run by
the browser, which loads nothing for it.
"""

import base64
import hashlib

from markupsafe import Markup


def policy(style: str, script: str = "") -> Markup:
    """The content-security policy of a page as an element of its head.

    Args:
        style, script: what stands between the tags of its one style and its one script; it may have none.
    """
    allowed = {
        "default-src": "'none'",
        "img-src": "data:",
        "style-src": _hash(style),
        **({"script-src": _hash(script)} if script else {}),
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    rules = "; ".join(f"{what} {source}" for what, source in allowed.items())
    return Markup(f'<meta http-equiv="Content-Security-Policy" content="{rules}">')


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
