"""JSON that balbook has written and reads again: a value of the type that was written, or an error that names file and field.

`pydantic` is imported by the first call, so that a command that only looks for such files does not wait for it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from balbook.errors import BalbookError, Refused

T = TypeVar("T")
_ADAPTERS: dict[Any, Any] = {}
"""By type; making one takes a while."""


def read_json(path: Path, wanted: type[T], failed: Callable[[str], BalbookError], *, version: int | None = None) -> T:
    """The contents of the file; raises `failed(why)` where it cannot be read, Refused where its `version` is a newer one."""
    try:
        return parse_json(path.read_bytes(), wanted, str(path), failed, version=version)
    except OSError as exc:
        raise failed(f"{path} cannot be read: {exc.strerror}") from exc


def parse_json(text: bytes | str, wanted: type[T], where: str, failed: Callable[[str], BalbookError], *, version: int | None = None) -> T:
    """The contents of a text that was read `where`. Every field must be known and of its type; one without a default must be there."""
    from pydantic import ValidationError

    try:
        if version is not None and (newer := json.loads(text)["version"]) > version:
            raise Refused(f"{where} has version {newer}; this balbook knows {version}", advice="Install a newer balbook.")
        found: T = _adapter(wanted).validate_json(text, strict=True, extra="forbid")
        return found
    except ValidationError as exc:
        fault = exc.errors()[0]
        field = ".".join(map(str, fault["loc"]))
        raise failed(f"{where} cannot be read: {field}{': ' if field else ''}{fault['msg']}") from exc
    except (ValueError, KeyError, TypeError, RecursionError) as exc:
        raise failed(f"{where} cannot be read: {exc}") from exc


def plain(value: T, declared: type[T], what: str, failed: Callable[[str], BalbookError]) -> dict[str, Any]:
    """Plain data of a dataclass, what is as usual left out; raises `failed(why)` where a field is not of its declared type."""
    from pydantic_core import PydanticSerializationError

    try:
        data: dict[str, Any] = _adapter(declared).dump_python(value, mode="json", exclude_defaults=True, warnings="error")
    except PydanticSerializationError as exc:
        raise failed(f"{what} cannot be written: {str(exc).splitlines()[-1].strip()}") from exc
    return data


def _adapter(wanted: Any) -> Any:
    from pydantic import TypeAdapter

    if wanted not in _ADAPTERS:
        _ADAPTERS[wanted] = TypeAdapter(wanted)
    return _ADAPTERS[wanted]
