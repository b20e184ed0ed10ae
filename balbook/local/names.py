"""Names that become one word of a command and one component of a path."""

from __future__ import annotations

import re

from balbook.errors import BadInput


def require_word(value: str, what: str) -> str:
    """The value where it is safe as one word and one path component, else BadInput naming `what`.

    Letters, digits and `._+-` only, no leading dash or dot: no separator, no quote, no `..`, no newline.
    """
    if not re.fullmatch(r"[A-Za-z0-9_+][A-Za-z0-9._+-]{0,127}", value):
        advice = "Use letters, digits and . _ + - only, starting with a letter or a digit."
        raise BadInput(f"{what} {value!r} is not allowed", advice=advice)
    return value
