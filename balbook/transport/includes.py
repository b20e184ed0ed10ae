"""The text of an ssh config with the files that `Include` names in their place: the library does not know `Include`."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

SETTING = re.compile(r"\s*(\w+)(?:\s*=\s*|\s+)(.+)")
DEEPEST = 16


def with_includes(path: Path) -> str:
    """The whole text. As in OpenSSH names are relative to the config's folder, those of no file are passed over, and blocks of a
    file that is named in a block hold for hosts of both. Raises OSError or ValueError where it cannot be read.
    """
    return "".join(f"{line}\n" for line in _lines(path, path.parent, "", 0))


def _lines(path: Path, folder: Path, within: str, depth: int) -> Iterator[str]:
    """The file's lines; `within`: the criteria of the block that names it."""
    if depth > DEEPEST:
        raise ValueError(f"{path}: Include leads deeper than {DEEPEST} files")
    block = within
    for line in path.read_text().splitlines():
        setting = SETTING.fullmatch(line.rstrip())
        word, value = (setting[1].lower(), setting[2]) if setting else ("", "")
        if word in ("host", "match"):
            block = f"{within} {_criteria(word, value)}".strip()
            yield f"Match {block}" if within else line
        elif word == "include":
            for file in _named(value, folder):
                yield from _lines(file, folder, block, depth + 1)
                yield f"Match {block}" if block else "Host *"
        else:
            yield line


def _criteria(word: str, value: str) -> str:
    """The condition of a block, as `Match` writes it."""
    if word == "match":
        return "originalhost *" if value.lower() == "all" else value
    return f"originalhost {shlex.quote(','.join(shlex.split(value)))}"


def _named(value: str, folder: Path) -> list[Path]:
    patterns = [(folder / Path(word).expanduser()).absolute() for word in shlex.split(value)]
    found = [sorted(Path(p.anchor).glob(str(p.relative_to(p.anchor)))) for p in patterns]
    return [file for files in found for file in files if file.is_file()]
