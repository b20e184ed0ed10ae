"""Builders of commands: pure functions that say what would be run and run nothing.

What a host has to do in one go is a constant POSIX shell script in `scripts/`; its values are arguments, never text of it.
"""

from __future__ import annotations

from functools import cache
from importlib import resources


@cache
def host_script(*names: str) -> str:
    """The text of the scripts `names` (without `.sh`), one after the other: functions first, then what uses them."""
    return "\n".join(resources.files("balbook.commands").joinpath("scripts", f"{name}.sh").read_text(encoding="utf-8") for name in names)
