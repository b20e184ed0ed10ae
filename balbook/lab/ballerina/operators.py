"""Operators on known values, and the constants of `ballerina/http`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from balbook.lab.ballerina.source import CompileError, Span
from balbook.lab.ballerina.values import STATUSES

CONSTANTS: Mapping[str, int] = {re.sub("(?<!^)([A-Z])", r"_\1", name).upper(): code for name, code in STATUSES.items()}
"""`NOT_FOUND` for `NotFound`."""
_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": lambda a, b: a == b,
    "===": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "!==": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
}
_COMPUTE: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a // b if isinstance(a, int) and isinstance(b, int) else Decimal(a) / Decimal(b),
    "%": lambda a, b: a % b,
}


def operated(sign: str, left: Any, right: Any, at: Span) -> Any:
    """`left sign right`; CompileError where the operator does not take these values."""
    table = _COMPARE if sign in _COMPARE else _COMPUTE
    try:
        return table[sign](left, right)
    except (TypeError, ArithmeticError, KeyError):
        raise CompileError(at, f"operator '{sign}' not defined for these types") from None
