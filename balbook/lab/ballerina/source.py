"""Text of `.bal` files as tokens, and what is wrong with it in the compiler's own form."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple


class Span(NamedTuple):
    """Where something stands in a file; lines and columns count from 1."""

    file: str
    line: int
    column: int
    end_line: int
    end_column: int

    def __str__(self) -> str:
        return f"[{self.file}:({self.line}:{self.column},{self.end_line}:{self.end_column})]"


class CompileError(Exception):
    """The compiler refuses a source: `ERROR [file.bal:(2:3,2:4)] invalid token ';'`."""

    def __init__(self, at: Span, message: str) -> None:
        super().__init__(f"ERROR {at} {message}")


class BeyondStandIn(Exception):
    """Ballerina that the real compiler accepts and the stand-in does not run."""

    def __init__(self, at: Span, what: str) -> None:
        super().__init__(f"error: the lab's stand-in for Ballerina does not run {what} {at}")


@dataclass(frozen=True)
class Token:
    """`kind` is one of word, number, string, template, sign, end; `text` as it stands, quotes taken off strings."""

    kind: str
    text: str
    at: Span


_SIGNS = ("...", "===", "!==", "{|", "|}", "->", "=>", "==", "!=", "<=", ">=", "&&", "||", "?:", "?.", "..")
_PATTERN = re.compile(
    r"(?P<space>\s+)|(?P<comment>//[^\n]*|\#[^\n]*)"
    r"|(?P<number>\d+(?:\.\d+)?[fd]?)|(?P<word>'?[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<sign>" + "|".join(re.escape(sign) for sign in _SIGNS) + r"|[-+*/%<>=!?:;,.{}()\[\]|&@^~])"
)
_STRING = re.compile(r'"((?:[^"\\\n]|\\.)*)"')
_PAIRS = {"{": "}", "(": ")", "[": "]", "{|": "|}"}
_CLOSERS = {"}": "close brace", ")": "close parenthesis", "]": "close bracket", "|}": "closing brace pipe"}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", '"': '"'}


def tokens(file: str, text: str) -> list[Token]:
    """The tokens of a file, ended by one of kind `end`; CompileError where a text or a bracket is not closed."""
    found: list[Token] = []
    at = 0
    while at < len(text):
        token, at = _next(file, text, at)
        if token:
            found.append(token)
    found.append(Token("end", "", _span(file, text, len(text), len(text))))
    _check_balance(found)
    return found


def _next(file: str, text: str, at: int) -> tuple[Token | None, int]:
    if text[at] == '"':
        string = _STRING.match(text, at)
        if not string:
            end = text.find("\n", at)
            raise CompileError(_span(file, text, end if end >= 0 else len(text), end if end >= 0 else len(text)), "missing double quote")
        value = re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[0]), string[1])
        return Token("string", value, _span(file, text, at, string.end())), string.end()
    if text[at] == "`":
        end = text.find("`", at + 1)
        if end < 0:
            raise CompileError(_span(file, text, len(text), len(text)), "missing backtick token")
        return Token("template", text[at + 1 : end], _span(file, text, at, end + 1)), end + 1
    match = _PATTERN.match(text, at)
    if not match:
        raise CompileError(_span(file, text, at, at + 1), f"invalid token '{text[at]}'")
    kind = match.lastgroup or ""
    if kind in ("space", "comment"):
        return None, match.end()
    return Token(kind, match[0], _span(file, text, at, match.end())), match.end()


def _span(file: str, text: str, start: int, end: int) -> Span:
    line, end_line = text.count("\n", 0, start) + 1, text.count("\n", 0, end) + 1
    column, end_column = start - text.rfind("\n", 0, start), end - text.rfind("\n", 0, end)
    return Span(file, line, column, end_line, end_column)


def _check_balance(found: list[Token]) -> None:
    """An opened bracket is closed by its own kind, and none is closed that was not opened."""
    open_: list[Token] = []
    for token in found:
        if token.kind == "sign" and token.text in _PAIRS:
            open_.append(token)
        elif token.kind == "sign" and token.text in _CLOSERS:
            if not open_:
                raise CompileError(token.at, f"invalid token '{token.text}'")
            wanted = _PAIRS[open_.pop().text]
            if wanted != token.text:
                raise CompileError(_before(token.at), f"missing {_CLOSERS[wanted]} token")
    if open_:
        raise CompileError(_before(found[-1].at), f"missing {_CLOSERS[_PAIRS[open_[-1].text]]} token")


def _before(at: Span) -> Span:
    return at._replace(end_line=at.line, end_column=at.column)
