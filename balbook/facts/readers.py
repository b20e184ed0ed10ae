"""Who reads what a step's commands print, and the files beside what they built: a step names its reader.

Whoever applies a plan looks the name up here, and knows nothing of the program that ran.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from balbook.facts import Said, ballerina

OutputReader = Literal["", "bal"]
FilesReader = Literal["", "bal build"]
OUTPUTS: Mapping[OutputReader, Callable[[str], Said]] = {"": lambda output: Said(), "bal": ballerina.said}
"""By name, what reads all that a step's commands printed on standard output."""
Contents = tuple[dict[str, str], dict[str, Any]]
FILES: Mapping[FilesReader, Callable[..., Contents]] = {"": lambda *texts: ({}, {}), "bal build": ballerina.built}
"""By name, what reads the texts of the files beside an executable: the versions of its packages, and details for the store's entry."""
