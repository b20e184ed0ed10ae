"""Values that the evaluator works on; those not known before a request arrives are holes in a template."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

STATUSES = {
    "Ok": 200,
    "Created": 201,
    "Accepted": 202,
    "NoContent": 204,
    "BadRequest": 400,
    "Unauthorized": 401,
    "Forbidden": 403,
    "NotFound": 404,
    "Conflict": 409,
    "InternalServerError": 500,
    "ServiceUnavailable": 503,
}
"""Ballerina's `http:` status records and their codes."""


@dataclass(frozen=True)
class Hole:
    """A value of the request or of the configuration; `is_text` where it is a string that JSON must quote."""

    name: str
    is_text: bool = True


@dataclass(frozen=True)
class Mixed:
    """A string with holes."""

    parts: tuple[str | Hole, ...]


@dataclass(frozen=True)
class Listener:
    """Where a service listens: empty for the default listener, a number, or `config.NAME`."""

    port: str = ""


@dataclass(frozen=True)
class Answer:
    """What a resource answers; `content_type` is empty where there is no body."""

    status: int
    body: Any = None


@dataclass(frozen=True)
class Problem:
    """A value of type `error`."""

    message: str


@dataclass
class Work:
    """What a call does beside its value."""

    prints: list[str] = field(default_factory=list)
    delay_ms: int = 0


class Members(dict[str, Any]):
    """A mapping that holds a payload's own members too (`...payload`)."""


def as_json(value: Any) -> str:
    """The value as JSON text, holes as the runtime fills them.

    >>> as_json({"guest": Hole("payload.guest", is_text=False), "id": Mixed(("b-", Hole("uuid")))})
    '{"guest":{{payload.guest}},"id":"b-{{text:uuid}}"}'
    """
    match value:
        case Hole(name, is_text):
            return '"{{text:' + name + '}}"' if is_text else "{{" + name + "}}"
        case Mixed(parts):
            return '"' + "".join(p and json.dumps(p)[1:-1] if isinstance(p, str) else "{{text:" + p.name + "}}" for p in parts) + '"'
        case dict():
            members = [as_json(k) + ":" + as_json(v) for k, v in value.items()]
            return "{" + ",".join([*members, "{{members}}"] if isinstance(value, Members) else members) + "}"
        case list():
            return "[" + ",".join(map(as_json, value)) + "]"
        case Decimal():
            return str(value)
        case Problem(message):
            return json.dumps(message)
    return json.dumps(value)


def as_text(value: Any) -> str:
    """The value as Ballerina prints it."""
    match value:
        case Hole(name, _):
            return "{{plain:" + name + "}}"
        case Mixed(parts):
            return "".join(map(as_text, parts))
        case str():
            return value
        case None:
            return ""
        case Problem(message):
            return f'error("{message}")'
    return as_json(value)


def joined(parts: list[Any]) -> str | Mixed:
    """One string from strings, holes and other values."""
    flat: list[str | Hole] = []
    for part in parts:
        pieces = part.parts if isinstance(part, Mixed) else (part if isinstance(part, Hole) else as_text(part),)
        flat.extend(pieces)
    if any(isinstance(piece, Hole) for piece in flat):
        return Mixed(tuple(flat))
    return "".join(str(piece) for piece in flat)
