"""Secrets kept out of text that is written piece by piece: terminals, log files, a kernel's outputs.

A secret may come in two writes. So the end of what was written is held back while it may be the beginning of a secret, until
the next write or `end` shows whether it is one.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Callable, Collection
from typing import Any, TextIO
from urllib.parse import unquote

from balbook.secrets.references import GAP, Scrubber, encodings

_ESCAPE = re.compile(r"\\{1,2}(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2}))|\\{1,8}(?=[\\/\"'])")
_UNFINISHED = re.compile(r"(?:%(?:25)?[0-9a-fA-F]?|\\{1,8}(?:u[0-9a-fA-F]{0,3}|x[0-9a-fA-F]?)?|&[#a-zA-Z0-9]{0,5}|\x1b(?:\[[0-9;]*)?)\Z")
_URL_SAFE = str.maketrans("-_", "+/")
_WIDEST = 8
"""Most characters for one character of a secret, line wraps included."""


class Pieces:
    """Text that comes in pieces and leaves without secrets."""

    def __init__(self, scrubber: Scrubber) -> None:
        self._scrubber, self._held = scrubber, ""

    def feed(self, text: str) -> str:
        """The text that can be written now, of all that came so far."""
        whole = self._held + text
        end = _end_of_safe(whole, self._scrubber)
        self._held = whole[end:]
        return self._scrubber.text(whole[:end])

    def end(self) -> str:
        """The text that was held back."""
        held, self._held = self._held, ""
        return self._scrubber.text(held)


class ScrubbedStream(io.TextIOBase):
    """Writes to `target`, without secrets. `flush`, which every program calls at its end, writes the text that was held back."""

    def __init__(self, target: TextIO, scrubber: Scrubber) -> None:
        self.target, self._pieces = target, Pieces(scrubber)

    def write(self, text: str) -> int:
        self.target.write(self._pieces.feed(text))
        if text.endswith("\n"):
            self.target.flush()
        return len(text)

    def flush(self) -> None:
        self.target.write(self._pieces.end())
        self.target.flush()

    def isatty(self) -> bool:
        return self.target.isatty()

    def fileno(self) -> int:
        return self.target.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self.target.encoding

    @property
    def buffer(self) -> Any:
        return self.target.buffer

    def close(self) -> None:
        """Flushes; the owner of the target closes the target."""
        self.flush()


def _end_of_safe(text: str, scrubber: Scrubber) -> int:
    """The end of the part that can be scrubbed without the text that is still to come."""
    values = scrubber.values
    if not values or not text:
        return len(text)
    first = max(0, len(text) - _WIDEST * max(map(len, values)) - 16)
    begins = _beginnings(values)
    end = next((max(i - 1, 0) for i in range(first, len(text)) if begins(text[i:])), len(text))  # base64's neighbour goes too
    for start, stop in scrubber.spans(text):
        if start < end < stop:
            end = start  # a whole secret whose own end looks like its beginning
    return end


def _beginnings(values: Collection[str]) -> Callable[[str], bool]:
    """A test of texts: true for the beginning, but not the whole, of a secret in one of its encodings."""
    # Without backslashes: in front of a line's end one may be the wrap's or the secret's.
    encoded = [(value.replace("\\", ""), *encodings(value)) for value in values]
    gap = re.compile(GAP)

    def is_beginning(tail: str) -> bool:
        bare = gap.sub("", tail)
        finished = _UNFINISHED.sub("", bare)
        has_more = finished != bare
        plain = html.unescape(unquote(unquote(_ESCAPE.sub(_unescaped, finished)))).rstrip("\ufffd").replace("\\", "")
        base64 = finished.translate(_URL_SAFE)
        hexadecimal = finished.lower().replace(":", "").replace(" ", "")
        if not plain:
            return has_more
        return any(
            _is_part(plain, value) or _is_part(hexadecimal, in_hex) or any(core.startswith(base64) for core in in_base64)
            for value, in_hex, in_base64 in encoded
        )

    return is_beginning


def _is_part(beginning: str, whole: str) -> bool:
    return len(beginning) < len(whole) and whole.startswith(beginning)


def _unescaped(found: re.Match[str]) -> str:
    digits = found[1] or found[2]
    return chr(int(digits, 16)) if digits else ""
