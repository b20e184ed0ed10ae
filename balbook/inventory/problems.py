"""What is wrong with one value of the inventory, said so that a user can mend it: found, allowed, nearest known name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

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
PRIVATE = {"become_password", "credentials", "environment", "token"}
"""Values below these keys are not repeated in messages: a user may have put a secret there."""


def shape_problems(document: Document, error: ValidationError) -> list[Problem]:
    """What the models refuse, one problem a value."""
    return [_shape_problem(document, detail) for detail in error.errors(include_url=False)]


def surprising_texts(document: Document) -> list[Problem]:
    """Values of `applications.*.environment` that YAML reads as something else than what is written."""
    problems = []
    for place, text in document.written.items():
        is_variable = len(place) == 4 and place[0] == "applications" and place[2] == "environment"
        value = value_at(document.data, place) if is_variable else text
        if is_variable and value is not None and not isinstance(value, str) and str(value).lower() != text:
            problems.append(Problem(place, _in_quotes(text, value)))
    return problems


def value_at(data: Any, place: Place) -> Any:
    """The value at `place`, or None where there is none."""
    for part in place:
        if isinstance(data, Mapping):
            data = data.get(part)
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            data = data[part]
        else:
            return None
    return data


def _shape_problem(document: Document, detail: ErrorDetails) -> Problem:
    place: Place = tuple(detail["loc"])
    if place[-1:] == ("[key]",):
        place = place[:-1]
        return Problem(place, f"the name {str(place[-1])!r} is not allowed; allowed: {_allowed(detail)}")
    match detail["type"]:
        case "extra_forbidden":
            model = _model_at(place[:-1])
            return Problem(place, f"is not a field here. {nearest(str(place[-1]), model.model_fields if model else ())}")
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
    return f'found {text}, which YAML reads as {spoken(value)}; text is expected: write it in quotes, "{text}"'


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
    context = detail.get("ctx", {})
    match detail["type"]:
        case "string_pattern_mismatch":
            return ALLOWED[context["pattern"]]
        case "int_type":
            return "a whole number"
        case "float_type":
            return "a number"
        case "bool_type":
            return "true or false"
        case "string_type":
            return ALLOWED[words.SECRET_REFERENCE] if detail["loc"][-1] == "token" else "text"
        case "list_type":
            return "a list"
        case "dict_type" | "model_type":
            return "a mapping"
        case "too_short":
            return "at least one"
        case _:
            return detail["msg"].removeprefix("Input should be ")


def _suggestion(detail: ErrorDetails) -> str:
    if detail["type"] != "literal_error" or not isinstance(detail["input"], str):
        return ""
    told = nearest(detail["input"], re.findall(r"'([^']+)'", detail.get("ctx", {})["expected"]))
    return f". {told}" if told.startswith("Did") else ""


def _model_at(place: Place) -> type[BaseModel] | None:
    """The model whose fields stand at `place`."""
    kind: Any = models.Inventory
    for part in place:
        kind = _bare(kind)
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            if part not in kind.model_fields:
                return None
            kind = kind.model_fields[str(part)].annotation
        else:
            kind = get_args(kind)[-1] if get_origin(kind) in (dict, list) else None
    kind = _bare(kind)
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _bare(kind: Any) -> Any:
    """The type without `Annotated` and without `| None`."""
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) in (Union, UnionType):
        kind = next(arg for arg in get_args(kind) if arg is not type(None))
    return kind
