"""The file that gives a scheduled run its secrets (`env:NAME`), which neither systemd nor cron passes on from a login.

Lines of `NAME=value`, empty ones and comments (`#`). Only what systemd's `EnvironmentFile=` and this module read alike is taken: a value
with a quote at its beginning or a backslash stands in single quotes and has none itself.
"""

from __future__ import annotations

import re
import stat
from pathlib import Path

from balbook.errors import BadInput

LINE = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)=(?:'(?P<quoted>[^']*)'|\"(?P<doubled>[^\"\\]*)\"|(?P<bare>[^'\"\s\\][^\\]*)?)")
ADVICE = "Write NAME=value, one a line; put a value with quotes or a backslash into single quotes: NAME='a\\b'."


def read_environment(path: Path) -> dict[str, str]:
    """The variables by name. BadInput for a file that cannot be read or is open to others, or a wrong line; no message shows a value."""
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode) or mode & 0o077:
            what = f"is open to others ({mode & 0o777:04o})" if stat.S_ISREG(mode) else "is not a regular file"
            raise BadInput(f"the environment file {path} {what}", advice=f"The file holds secrets: chmod 600 {path}")
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as exc:
        raise BadInput(f"the environment file {path} cannot be read: {exc}", advice="Check the name and the owner of the file.") from exc
    values: dict[str, str] = {}
    for number, line in enumerate(map(str.strip, lines), 1):
        if not line or line.startswith("#"):
            continue
        found = LINE.fullmatch(line)
        if found is None:
            raise BadInput(f"{path}:{number}: the line is not NAME=value", advice=ADVICE)
        values[found["name"]] = next((text for text in found.group("quoted", "doubled", "bare") if text is not None), "")
    return values
