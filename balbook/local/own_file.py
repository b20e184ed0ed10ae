"""Files that balbook writes among those of others, such as workflows and DAGs.

The first line has the sha256 of the rest. So a file of balbook's that was not edited is known, and only such a file is ever
written over.
"""

from __future__ import annotations

import re
from pathlib import Path

from balbook.errors import Failed, Refused
from balbook.local.atomic_files import write_text
from balbook.local.digests import sha256_of

MARK = re.compile(r"# Made by `(?P<by>balbook [^`\n]+)`; sha256 of what follows: (?P<sha256>[0-9a-f]{64})\n")


def marked(text: str, by: str) -> str:
    """The text below its mark; `by` is the command that makes the text."""
    return f"# Made by `{by}`; sha256 of what follows: {sha256_of(text)}\n{text}"


def write_own(path: Path, text: str) -> bool:
    """Writes a marked text; False where the file has this text already.

    Refused where the file is foreign or was edited; Failed where it cannot be written.
    """
    try:
        if path.exists():
            there = path.read_bytes().decode("utf-8", errors="replace")
            if there == text:
                return False
            mark = MARK.match(there)
            if not mark or mark["sha256"] != sha256_of(there[mark.end() :]):
                why = "was edited since balbook made it" if mark else "is not a file that balbook made"
                advice = "Move the file away, or name another folder with --output, and compare the two."
                raise Refused(f"{path} {why}; nothing was written", advice=advice)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
    except OSError as exc:
        raise Failed(f"{path} cannot be written: {exc.strerror}", advice="Name another folder with --output.") from exc
    return True
