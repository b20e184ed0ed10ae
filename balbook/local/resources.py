"""The places of the project's own files: `runbooks/` and `templates/`.

In a checkout they stand beside the package, in an installed wheel inside it, below `balbook/_data`.
"""

from __future__ import annotations

from pathlib import Path

from balbook.errors import BalbookError

PACKAGE = Path(__file__).resolve().parents[1]


def resource(*parts: str, package: Path = PACKAGE) -> Path:
    """The path of a file or folder, as in `resource("templates", "deployment")`. Raises BalbookError where it is missing."""
    installed = package / "_data"
    path = (installed if installed.is_dir() else package.parent).joinpath(*parts)
    if not path.exists():
        raise BalbookError(f"{path} is missing", advice="balbook is not installed completely; install it again.")
    return path
