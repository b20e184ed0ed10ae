"""Text of `.bal` files as tokens. Only a bracket, a string or a template that is not closed, or a bracket too many, is an error."""

from __future__ import annotations

import re
from typing import NamedTuple


class CompileError(Exception):
    """An error of the compiler: `ERROR [file.bal:(2:3,2:4)] missing double quote`."""

    def __init__(self, at: str, message: str) -> None:
        super().__init__(f"ERROR {at} {message}")


class Token(NamedTuple):
    """A token. `kind`: word, name (a quoted word, never a keyword), string or sign. `depth`: the number of brackets around the token."""

    kind: str
    text: str
    depth: int
    start: int
    end: int


_SPACE = re.compile(r"(?:[\s\ufeff]|//[^\n]*|#[^\n]*)+")
_WORD = re.compile(r"'?(?:\w|\\u\{[0-9A-Fa-f]+\}|\\\S)+")
_STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"')
_ESCAPE = re.compile(r"\\u\{(\w+)\}|\\(\S)")
_CLOSERS = {"{": "}", "${": "}", "(": ")", "[": "]", "`": "`", "re`": "`"}
_MISSING = {"}": "close brace", ")": "close parenthesis", "]": "close bracket", "`": "backtick"}
# A template's text, up to its end or to `${`. In a pattern (`re`) a backslash can stand before the dollar.
_TEXTS = {"`": re.compile(r"(?:[^`$]|\$(?!\{))*"), "re`": re.compile(r"(?:[^`$\\]|\\[^`]?|\$(?!\{))*")}


def tokens(file: str, text: str) -> list[Token]:
    """The tokens of a file, with those in the `${}` of templates. Raises CompileError where a bracket or a string is not closed."""
    found: list[Token] = []
    open_: list[str] = []
    at = 0
    while at < len(text):
        template = _TEXTS[open_[-1]].match(text, at) if open_ and open_[-1] in _TEXTS else None
        if template:
            at = template.end()
            sign = text[at : at + (2 if text.startswith("${", at) else 1)]
        elif space := _SPACE.match(text, at):
            at = space.end()
            continue
        elif word := _word(file, text, at, len(open_)):
            found.append(word)
            at = word.end
            continue
        else:
            sign = text[at]
        if open_ and sign == _CLOSERS[open_[-1]] and (template or sign != "`"):
            open_.pop()
        elif sign in ("}", ")", "]"):
            wrong = f"missing {_MISSING[_CLOSERS[open_[-1]]]} token" if open_ else f"invalid token '{sign}'"
            raise CompileError(place(file, text, at, at if open_ else at + 1), wrong)
        elif sign in _CLOSERS:
            found.append(Token("sign", sign, len(open_), at, at + len(sign)))
            open_.append("re`" if sign == "`" and len(found) > 1 and found[-2].text == "re" else sign)
            at += len(sign)
            continue
        if sign:
            found.append(Token("sign", sign, len(open_), at, at + 1))
        at += len(sign)
    if open_:
        raise CompileError(place(file, text, len(text), len(text)), f"missing {_MISSING[_CLOSERS[open_[-1]]]} token")
    return found


def place(file: str, text: str, start: int, end: int) -> str:
    """The place in a file, `[file.bal:(2:3,2:4)]`; lines and columns count from 1."""
    spots = [f"{text.count(chr(10), 0, at) + 1}:{at - text.rfind(chr(10), 0, at)}" for at in (start, end)]
    return f"[{file}:({','.join(spots)})]"


def _word(file: str, text: str, at: int, depth: int) -> Token | None:
    """The word or the string at this place; escapes in a word are resolved."""
    if text[at] == '"':
        string = _STRING.match(text, at)
        if not string:
            end = text.find("\n", at)
            end = len(text) if end < 0 else end
            raise CompileError(place(file, text, end, end), "missing double quote")
        return Token("string", string[0][1:-1], depth, at, string.end())
    word = _WORD.match(text, at)
    if not word:
        return None
    plain = _ESCAPE.sub(lambda m: chr(int(m[1], 16)) if m[1] else m[2], word[0].removeprefix("'"))
    return Token("name" if word[0].startswith("'") else "word", plain, depth, at, word.end())
