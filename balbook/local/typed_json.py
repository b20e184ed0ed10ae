"""JSON that balbook has written and reads again: a value of the type that was written, or an error that names file and field.

`pydantic` is imported by the first call, so that a command that only looks for such files does not wait for it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from balbook.errors import BalbookError, Refused

T = TypeVar("T")


def read_json(path: Path, wanted: type[T], failed: Callable[[str], BalbookError], *, version: int | None = None) -> T:
    """The contents of the file; raises `failed(why)` where it cannot be read, Refused where its `version` is a newer one."""
    try:
        return parse_json(path.read_bytes(), wanted, str(path), failed, version=version)
    except OSError as exc:
        raise failed(f"{path} cannot be read: {exc.strerror}") from exc


def parse_json(text: bytes | str, wanted: type[T], where: str, failed: Callable[[str], BalbookError], *, version: int | None = None) -> T:
    """The contents of a text that was read `where`. Every field must be known and of its type; one without a default must be there."""
    from pydantic import TypeAdapter, ValidationError

    try:
        if version is not None and (found := json.loads(text)["version"]) > version:
            raise Refused(f"{where} has version {found}; this balbook knows {version}", advice="Install a newer balbook.")
        return TypeAdapter(wanted).validate_json(text, strict=True, extra="forbid")
    except ValidationError as exc:
        fault = exc.errors()[0]
        field = ".".join(map(str, fault["loc"]))
        raise failed(f"{where} cannot be read: {field}{': ' if field else ''}{fault['msg']}") from exc
    except (ValueError, KeyError, TypeError, RecursionError) as exc:
        raise failed(f"{where} cannot be read: {exc}") from exc
