"""Reads expressions and types; the part of the parser that statements and definitions stand on."""

from __future__ import annotations

import re
from decimal import Decimal

from balbook.lab.ballerina.source import BeyondStandIn, CompileError, Span, Token, tokens
from balbook.lab.ballerina.syntax import Expr, Type

_LEVELS = (("?:",), ("||",), ("&&",), ("==", "!=", "===", "!=="), ("<", ">", "<=", ">="), ("+", "-"), ("*", "/", "%"))
_TESTS = 4
"""The level of `is` and `!is`, that of comparisons."""
_WORDS = {"true": True, "false": False, "null": None}


class ExpressionParser:
    """A cursor over the tokens of one file."""

    def __init__(self, file: str, text: str) -> None:
        self.tokens = tokens(file, text)
        self.index = 0

    @property
    def here(self) -> Token:
        return self.tokens[self.index]

    def is_at(self, *texts: str, ahead: int = 0) -> bool:
        token = self.tokens[min(self.index + ahead, len(self.tokens) - 1)]
        return token.kind in ("sign", "word") and token.text in texts

    def take(self) -> Token:
        token = self.here
        self.index = min(self.index + 1, len(self.tokens) - 1)
        return token

    def accept(self, *texts: str) -> bool:
        if self.is_at(*texts):
            self.take()
            return True
        return False

    def expect(self, text: str, called: str) -> Token:
        if not self.is_at(text):
            at = self.here.at
            raise CompileError(at._replace(end_line=at.line, end_column=at.column), f"missing {called} token")
        return self.take()

    def semicolon(self) -> None:
        self.expect(";", "semicolon")

    def word(self) -> str:
        if self.here.kind != "word":
            raise self.invalid()
        return self.take().text.removeprefix("'")

    def invalid(self) -> CompileError:
        return CompileError(self.here.at, f"invalid token '{self.here.text}'")

    # Types

    def type(self) -> Type:
        """A type, unions included."""
        parts = [self._array_type()]
        while self.is_at("|"):
            self.take()
            parts.append(self._array_type())
        return parts[0] if len(parts) == 1 else Type("union", tuple(parts))

    def _array_type(self) -> Type:
        found = self._simple_type()
        while True:
            if self.is_at("[") and self.is_at("]", ahead=1):
                self.take(), self.take()
                found = Type("array", (found,))
            elif self.is_at("?"):
                self.take()
                found = Type("union", (found, Type("nil")))
            else:
                return found

    def _simple_type(self) -> Type:
        if self.here.kind == "string":
            return Type("string", (Type(self.take().text),))
        if self.accept("("):
            if self.accept(")"):
                return Type("nil")
            found = self.type()
            self.expect(")", "close parenthesis")
            return found
        name = self.word()
        if name in ("readonly", "final"):
            self.accept("&")
            return self._simple_type()
        if name == "record" and self.is_at("{|", "{"):
            return self._record()
        if self.accept(":"):
            name = f"{name}:{self.word()}"
        of: tuple[Type, ...] = ()
        if name in ("map", "stream", "table", "typedesc") and self.accept("<"):
            of = (self.type(),)
            self.expect(">", "gt")
        return Type(name, of)

    def _record(self) -> Type:
        closer = "|}" if self.take().text == "{|" else "}"
        fields: dict[str, bool] = {}
        includes: list[str] = []
        while not self.accept(closer):
            if self.accept("*"):
                includes.append(self.type().name)
            else:
                self._field(fields)
            self.semicolon()
        return Type("record", fields=fields, includes=tuple(includes))

    def _field(self, fields: dict[str, bool]) -> None:
        if self.is_at("@"):
            raise BeyondStandIn(self.here.at, "annotations of fields")
        self.type()
        if self.accept("..."):
            return
        name = self.word()
        fields[name] = not self.accept("?")
        if self.accept("="):
            self.expression()
            fields[name] = False

    # Expressions

    def expression(self) -> Expr:
        """An expression, `a ? b : c` included."""
        condition = self._level(0)
        if not self.is_at("?"):
            return condition
        at = self.take().at
        first = self.expression()
        self.expect(":", "colon")
        return Expr("choose", at, args=(condition, first, self.expression()))

    def _level(self, level: int) -> Expr:
        if level == len(_LEVELS):
            return self._unary()
        left = self._level(level + 1)
        if level == _TESTS and (self.is_at("is") or (self.is_at("!") and self.is_at("is", ahead=1))):
            at = self.here.at
            sign = "!is" if self.accept("!") else "is"
            self.take()
            return Expr("is", at, sign, (left,), type=self.type())
        while self.here.kind == "sign" and self.here.text in _LEVELS[level]:
            operator = self.take()
            left = Expr("operate", operator.at, operator.text, (left, self._level(level + 1)))
        return left

    def _unary(self) -> Expr:
        if self.is_at("check", "checkpanic"):
            at = self.take().at
            return Expr("check", at, args=(self._unary(),))
        if self.is_at("!", "-"):
            token = self.take()
            return Expr("unary", token.at, token.text, (self._unary(),))
        if self.is_at("<"):
            at = self.take().at
            to = self.type()
            self.expect(">", "gt")
            return Expr("cast", at, args=(self._unary(),), type=to)
        if self.is_at("new"):
            return self._new()
        return self._postfix(self._primary())

    def _new(self) -> Expr:
        at = self.take().at
        made = Type("") if self.is_at("(") else self.type()
        args, names = self.arguments() if self.is_at("(") else ((), ())
        return Expr("new", at, args=args, names=names, type=made)

    def _postfix(self, expr: Expr) -> Expr:
        while True:
            if self.is_at("->"):
                expr = self._remote(expr)
            elif self.accept(".", "?."):
                name = self.take()
                if self.is_at("("):
                    args, names = self.arguments()
                    expr = Expr("method", name.at, name.text, (expr, *args), names)
                else:
                    expr = Expr("field", name.at, name.text, (expr,))
            elif self.is_at("["):
                at = self.take().at
                expr = Expr("index", at, args=(expr, self.expression()))
                self.expect("]", "close bracket")
            else:
                return expr

    def _remote(self, client: Expr) -> Expr:
        """`c->get("/path")`, or `c->/path/to.method(…)` whose method is get where it is not said."""
        at = self.take().at
        if not self.is_at("/"):
            name = self.word()
            args, names = self.arguments()
            return Expr("remote", at, name, (client, *args), names)
        parts: list[Expr] = []
        while self.accept("/"):
            if self.accept("["):
                parts.append(self.expression())
                self.expect("]", "close bracket")
            elif self.here.kind == "word":
                parts.append(Expr("literal", self.here.at, value=self.word()))
        method = self.word() if self.accept(".") else "get"
        args, names = self.arguments() if self.is_at("(") else ((), ())
        path = Expr("path", at, args=tuple(parts))
        return Expr("remote", at, method, (client, path, *args), ("", "", *names)[: len(names) + 2])

    def arguments(self) -> tuple[tuple[Expr, ...], tuple[str, ...]]:
        """`(a, name = b)`: the expressions, and their names (empty where by position)."""
        self.expect("(", "open parenthesis")
        args: list[Expr] = []
        names: list[str] = []
        while not self.accept(")"):
            is_named = self.here.kind == "word" and self.is_at("=", ahead=1)
            names.append(self.word() if is_named else "")
            if is_named:
                self.take()
            args.append(self.expression())
            if not self.is_at(")"):
                self.expect(",", "comma")
        return tuple(args), tuple(names)

    def _primary(self) -> Expr:
        token = self.take()
        if token.kind == "string":
            return Expr("literal", token.at, value=token.text)
        if token.kind == "number":
            text = token.text.rstrip("fd")
            return Expr("literal", token.at, value=Decimal(text) if "." in text or text != token.text else int(text))
        if token.kind == "word":
            return self._named(token)
        if token.text == "(":
            if self.accept(")"):
                return Expr("literal", token.at, value=None)
            inner = self.expression()
            self.expect(")", "close parenthesis")
            return inner
        if token.text == "[":
            return self._list(token)
        if token.text == "{":
            return self._mapping(token)
        raise CompileError(token.at, f"invalid token '{token.text}'" if token.text else "missing identifier")

    def _named(self, token: Token) -> Expr:
        if token.text in _WORDS:
            return Expr("literal", token.at, value=_WORDS[token.text])
        if token.text in ("string", "xml", "re") and self.here.kind == "template":
            return template(self.take())
        name = token.text.removeprefix("'")
        if self.is_at(":") and self.tokens[self.index + 1].kind == "word" and self._is_adjacent(token):
            self.take()
            name = f"{name}:{self.word()}"
        if self.is_at("("):
            args, names = self.arguments()
            return Expr("call", token.at, name, args, names)
        return Expr("name", token.at, name)

    def _is_adjacent(self, token: Token) -> bool:
        """`io:println` has no space around its colon; that of `a ? b : c` has."""
        return self.here.at[1:3] == token.at[3:5]

    def _list(self, token: Token) -> Expr:
        args: list[Expr] = []
        while not self.accept("]"):
            args.append(self.expression())
            if not self.is_at("]"):
                self.expect(",", "comma")
        return Expr("list", token.at, args=tuple(args))

    def _mapping(self, token: Token) -> Expr:
        args: list[Expr] = []
        names: list[str] = []
        while not self.accept("}"):
            if self.accept("..."):
                names.append("")
                args.append(self.expression())
            else:
                key = self.take()
                names.append(key.text.removeprefix("'"))
                args.append(self.expression() if self.accept(":") else Expr("name", key.at, key.text))
            if not self.is_at("}"):
                self.expect(",", "comma")
        return Expr("mapping", token.at, args=tuple(args), names=tuple(names))


def template(token: Token) -> Expr:
    """`string \\`text ${expression}\\`` as its parts in order."""
    parts: list[Expr] = []
    for piece in re.split(r"(\$\{[^}]*\})", token.text):
        if piece.startswith("${"):
            inner = ExpressionParser(token.at.file, piece[2:-1])
            parts.append(_moved(inner.expression(), token.at))
        elif piece:
            parts.append(Expr("literal", token.at, value=piece))
    return Expr("template", token.at, args=tuple(parts))


def _moved(expr: Expr, at: Span) -> Expr:
    return Expr(expr.op, at, expr.text, tuple(_moved(a, at) for a in expr.args), expr.names, expr.value, expr.type)
