"""Names that become one word of a command and one component of a path."""

from __future__ import annotations

from balbook.errors import BadInput


def require_word(value: str, what: str) -> str:
    """`value` if it is safe as one word and one path component, else BadInput naming `what`.

    Letters, digits and `._+-` only, no leading dash or dot: no separator, no quote, no `..`, no newline.
    """
    ok = value and len(value) <= 128 and value[0] not in "-." and all(c.isascii() and (c.isalnum() or c in "._+-") for c in value)
    if not ok:
        raise BadInput(
            f"{what} {value!r} is not allowed",
            advice="Use letters, digits and . _ + - only, starting with a letter or a digit.",
        )
    return value
