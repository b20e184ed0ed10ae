"""The folders of runs, and the one rule by which every command finds the run of a RUN_ID."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from balbook.errors import BadInput
from balbook.record.journal import JOURNAL
from balbook.record.statement import STATEMENT, run_id_of

MOST_NAMED = 5
"""The number of runs that a message names where a RUN_ID is unclear."""


def run_folders(records: Path) -> list[Path]:
    """The folders of all runs below this folder, oldest first, sealed or not."""
    return [folder for folder in sorted(records.glob("*")) if _is_run(folder)]


def find_run(records: Path, said: str) -> Path:
    """The folder of the run with this id, unambiguous beginning of an id, or folder (its name or path); BadInput otherwise."""
    by_name = {name: folder for folder in run_folders(records) for name in (folder.name, run_id_of(folder))}
    if said in by_name:
        return by_name[said]
    if said and _is_run(Path(said)):
        return Path(said)
    found = [folder for name, folder in by_name.items() if said and name.startswith(said) and name != folder.name]
    if len(found) == 1:
        return found[0]
    near = found or [by_name[name] for name in get_close_matches(said, by_name, n=MOST_NAMED)] or list(by_name.values())
    named = ", ".join(dict.fromkeys(folder.name for folder in near[::-1][:MOST_NAMED]))
    message = f"{len(found)} runs in {records} begin with {said!r}" if found else f"no run in {records} is called {said!r}"
    raise BadInput(message, advice=f"Is it one of these? {named or 'There is no run yet'}. List all: balbook records list.")


def _is_run(folder: Path) -> bool:
    return (folder / JOURNAL).is_file() or (folder / STATEMENT).is_file()
