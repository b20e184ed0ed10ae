"""Splits a command line of `bal` into options and operands, with the real command's errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from balbook.lab.ballerina.said import command_error


@dataclass(frozen=True)
class Options:
    """The given `flags`, the `values` of options that take one, and the operands."""

    flags: frozenset[str]
    values: Mapping[str, str]
    operands: tuple[str, ...]


def read_options(argv: Sequence[str], *, flags: Sequence[str] = (), valued: Sequence[str] = ()) -> Options:
    """Reads options, `--name=value` or `--name value`, at any place. Raises Refusal for an unknown option."""
    given: set[str] = set()
    values: dict[str, str] = {}
    operands: list[str] = []
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        if not word.startswith("-"):
            operands.append(word)
        elif name in valued:
            if not equals and not rest:
                raise command_error(f"missing required parameter for option '{name}'")
            values[name] = value if equals else rest.pop(0)
        elif name in flags:
            if value != "false":
                given.add(name)
        else:
            raise command_error(f"unknown option: '{name}'")
    return Options(frozenset(given), values, tuple(operands))


def at_most_one(options: Options, command: str) -> str:
    """The only operand, `.` without one."""
    if len(options.operands) > 1:
        raise command_error(f"too many arguments\nUSAGE:\n    bal {command} [OPTIONS] [<package-path>]\nFor more information try --help")
    return options.operands[0] if options.operands else "."
