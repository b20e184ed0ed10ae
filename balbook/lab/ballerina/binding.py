"""How values meet the types that they are bound to, and what leaves a function early."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from balbook.lab.ballerina.syntax import Type
from balbook.lab.ballerina.values import Answer, Hole, Listener, Problem


class Returned(Exception):
    """A `return` statement was reached, or `check` met an error."""

    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value


class Client:
    """`http:Client` in a test; whatever its URL, it reaches the package under test."""


def fitted(value: Any, kind: Type | None) -> Any:
    """A client's answer as the type that it is assigned to: the response, or its payload."""
    names = {kind.name, *(part.name for part in kind.of)} if kind else set()
    if not isinstance(value, Answer) or names & {"http:Response", "var", ""}:
        return value
    if value.status < 400:
        return value.body
    problem = Problem(f"the service answered {value.status}")
    if "error" in names:
        return problem
    raise Returned(problem)


def is_of(value: Any, kind: Type) -> bool:
    """Whether a value belongs to a type, as far as its kind tells."""
    kinds: Mapping[str, tuple[type, ...]] = {"string": (str,), "int": (int,), "decimal": (Decimal,), "error": (Problem,), "array": (list,)}
    if kind.name == "union":
        return any(is_of(value, part) for part in kind.of)
    if kind.name == "nil":
        return value is None
    return isinstance(value, kinds.get(kind.name, (dict,)))


def listener(args: list[Any]) -> Listener:
    """`new http:Listener(port)`."""
    port = args[0] if args else 9090
    return Listener(port.name if isinstance(port, Hole) else str(port))


def converted(text: str, kind: Type) -> Any:
    """A setting's text as a value of the type."""
    if kind.name == "int":
        return int(text)
    if kind.name == "boolean":
        return text == "true"
    return Decimal(text) if kind.name in ("decimal", "float") else text
