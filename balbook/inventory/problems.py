"""Messages about one value of the inventory, by which a user can correct it: found, allowed, nearest known name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from balbook.errors import nearest
from balbook.inventory import models, words
from balbook.inventory.document import Document, Place, Problem, spoken

ALLOWED = {
    words.NAME: "letters, digits and . _ + -, starting with a letter or a digit, at most 128",
    words.ADDRESS: "a DNS name, an IP address or a Host of ~/.ssh/config",
    words.ABSOLUTE_PATH: "an absolute path of letters, digits and . _ + - /, without ..",
    words.URL_PATH: "a path that starts with /, of letters, digits and . _ ~ + - /, without ..",
    words.PROBE_PATH: "a path that starts with /, and a query",
    words.VARIABLE_NAME: "letters, digits and _, not starting with a digit",
    words.LINE: "one line without control characters",
    words.LOCAL_PATH: "a path on one line without control characters",
    words.SECRET_REFERENCE: "a reference such as env:NAME or file:PATH, never the secret itself",
    words.WEB_ADDRESS: "an address that starts with http:// or https://",
    words.PACKAGE: "org/name; the name of letters, digits, _ and ., starting with a letter, without __",
}
EXPECTED = {
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "too_short": "at least one",
}
PRIVATE = {"become_password", "credentials", "environment", "token"}
"""Keys of values that messages do not repeat: such a value is perhaps a secret."""


def shape_problems(document: Document, error: ValidationError) -> list[Problem]:
    """The values that the models refuse, one problem each."""
    return [_shape_problem(document, detail) for detail in error.errors(include_url=False)]


def surprising_texts(document: Document) -> list[Problem]:
    """Values of `applications.*.environment` that YAML reads as another text than the written one."""
    return [
        Problem(place, _in_quotes(text, value))
        for place, value in document.read.items()
        if len(place) == 4 and place[::2] == ("applications", "environment") and str(value).lower() != (text := document.written[place])
    ]


def _shape_problem(document: Document, detail: ErrorDetails) -> Problem:
    place: Place = tuple(detail["loc"])
    if place[-1:] == ("[key]",):
        place = place[:-1]
        return Problem(place, f"the name {str(place[-1])!r} is not allowed; allowed: {_allowed(detail)}")
    match detail["type"]:
        case "extra_forbidden":
            model = _model_at(place[:-1])
            return Problem(place, f"is not a known field. {nearest(str(place[-1]), model.model_fields if model else ())}")
        case "missing":
            model = _model_at(place[:-1])
            description = model.model_fields[str(place[-1])].description if model else None
            return Problem(place, f"is missing{f': {description}' if description else '.'}")
        case "string_type" if place in document.written and detail["input"] is not None and "token" not in place:
            return Problem(place, _in_quotes(document.written[place], detail["input"]))
        case "value_error":
            return Problem(place, detail["msg"].removeprefix("Value error, "))
    return Problem(place, f"found {_found(document, place, detail['input'])}; allowed: {_allowed(detail)}{_suggestion(detail)}")


def _in_quotes(text: str, value: object) -> str:
    return f'found {text}, which YAML reads as {spoken(value)}; expected: text. Write "{text}" in quotes'


def _found(document: Document, place: Place, value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    if PRIVATE & set(place[1:]):
        return "a value that is not shown"
    if isinstance(value, bool):
        return f"{document.written.get(place, value)}, {spoken(value)}"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"


def _allowed(detail: ErrorDetails) -> str:
    if detail["type"] == "string_pattern_mismatch":
        return ALLOWED[detail["ctx"]["pattern"]]
    if detail["type"] == "string_type" and detail["loc"][-1] == "token":
        return ALLOWED[words.SECRET_REFERENCE]
    return EXPECTED.get(detail["type"]) or detail["msg"].removeprefix("Input should be ")


def _suggestion(detail: ErrorDetails) -> str:
    if detail["type"] != "literal_error" or not isinstance(detail["input"], str):
        return ""
    told = nearest(detail["input"], re.findall(r"'([^']+)'", detail.get("ctx", {})["expected"]))
    return f". {told}" if told.startswith("Did") else ""


def _model_at(place: Place) -> type[BaseModel] | None:
    """The model with the fields at `place`."""
    model: type[BaseModel] | None = models.Inventory
    parts = iter(place)
    for part in parts:
        if model is None or part not in model.model_fields:
            return None
        kind = model.model_fields[str(part)].annotation
        model = _model_in(kind)
        if get_origin(kind) in (dict, list):
            next(parts, None)  # the entry's own name or number
    return model


def _model_in(kind: Any) -> type[BaseModel] | None:
    """The model in a type: `Host` in `dict[Name, Host]`, `Tls` in `Tls | None`."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return kind
    return next((found for part in get_args(kind) if (found := _model_in(part))), None)
