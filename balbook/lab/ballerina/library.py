"""The functions of Ballerina's library that the stand-in knows."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from balbook.lab.ballerina.source import BeyondStandIn
from balbook.lab.ballerina.syntax import Expr
from balbook.lab.ballerina.values import Answer, Hole, Listener, Problem, Work, as_json, as_text

Call = Callable[[Work, bool, list[Any], Mapping[str, Any]], Any]


class AssertionFailed(Exception):
    """An assertion of `ballerina/test` did not hold."""


def call_method(owner: Any, expr: Expr, args: list[Any]) -> Any:
    """`owner.method(args)`."""
    match expr.text, owner:
        case (("getJsonPayload" | "getTextPayload"), Answer(_, body)):
            return as_text(body) if expr.text == "getTextPayload" else body
        case "toString", _:
            return owner if isinstance(owner, str | Hole) else as_text(owner)
        case "toJsonString", _:
            return as_json(owner)
        case (("toJson" | "clone" | "cloneReadOnly"), _):
            return owner
        case "length", (str() | list() | dict()):
            return len(owner)
        case "message", Problem(message):
            return message
        case "getHeader", Hole("request", _):
            return Hole(f"header.{args[0]}")
        case "getJsonPayload", Hole("request", _):
            return Hole("payload", is_text=False)
    raise BeyondStandIn(expr.at, f"'.{expr.text}()'")


def _println(work: Work, _: bool, args: list[Any], __: Mapping[str, Any]) -> None:
    work.prints.append("".join(map(as_text, args)))


def _log(level: str) -> Call:
    def log(work: Work, _: bool, args: list[Any], __: Mapping[str, Any]) -> None:
        work.prints.append(f'level={level} message="{as_text(args[0])}"')

    return log


def _sleep(work: Work, _: bool, args: list[Any], __: Mapping[str, Any]) -> None:
    work.delay_ms += int(Decimal(args[0]) * 1000)


def _uuid(_: Work, is_symbolic: bool, __: list[Any], ___: Mapping[str, Any]) -> Any:
    return Hole("uuid") if is_symbolic else str(uuid.uuid4())


def _default_listener(*_: object) -> Listener:
    return Listener()


def _assert_equals(_: Work, __: bool, args: list[Any], names: Mapping[str, Any]) -> None:
    actual, expected = names.get("actual", args[0]), names.get("expected", args[1])
    if _body(actual) != expected:
        shown = f"expected: '{as_text(expected)}'\n\t\t\tactual\t: '{as_text(_body(actual))}'"
        raise AssertionFailed(f"{_message(args, names, 2, 'Assertion Failed!')}\n\t\t\t \n\t\t\t{shown}")


def _assert_not_equals(_: Work, __: bool, args: list[Any], names: Mapping[str, Any]) -> None:
    if _body(args[0]) == args[1]:
        raise AssertionFailed(_message(args, names, 2, "Assertion Failed!"))


def _assert_is(wanted: bool) -> Call:
    def check(_: Work, __: bool, args: list[Any], names: Mapping[str, Any]) -> None:
        if args[0] is not wanted:
            raise AssertionFailed(_message(args, names, 1, "Assertion Failed!"))

    return check


def _assert_fail(_: Work, __: bool, args: list[Any], names: Mapping[str, Any]) -> None:
    raise AssertionFailed(_message(args, names, 0, "Test Failed!"))


def _message(args: list[Any], names: Mapping[str, Any], position: int, otherwise: str) -> str:
    given = names.get("msg", args[position] if len(args) > position else None)
    return str(given) if given else otherwise


def _body(value: Any) -> Any:
    return value.body if isinstance(value, Answer) else value


LIBRARY: Mapping[str, Call] = {
    "io:println": _println,
    "io:print": _println,
    "log:printInfo": _log("INFO"),
    "log:printWarn": _log("WARN"),
    "log:printError": _log("ERROR"),
    "runtime:sleep": _sleep,
    "uuid:createType4AsString": _uuid,
    "uuid:createRandomUuid": _uuid,
    "http:getDefaultListener": _default_listener,
    "test:assertEquals": _assert_equals,
    "test:assertExactEquals": _assert_equals,
    "test:assertNotEquals": _assert_not_equals,
    "test:assertTrue": _assert_is(True),
    "test:assertFalse": _assert_is(False),
    "test:assertFail": _assert_fail,
}
