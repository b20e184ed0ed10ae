"""Reads the files of a Ballerina module into its syntax tree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from balbook.lab.ballerina.expressions import ExpressionParser
from balbook.lab.ballerina.source import BeyondStandIn, CompileError, Span
from balbook.lab.ballerina.syntax import Expr, Function, Import, Module, Param, Service, Stmt, Type, Variable

Defined = TypeVar("Defined")
_BEYOND = ("class", "client", "enum", "annotation", "xmlns", "worker", "fork", "transaction", "lock", "match", "while", "do", "retry")


def parse(files: Mapping[str, str]) -> Module:
    """The module that the files (name to text) make up; CompileError at the first thing that is wrong."""
    module = Module()
    for name, text in sorted(files.items()):
        _Definitions(name, text, module).read()
    return module


class _Definitions(ExpressionParser):
    def __init__(self, file: str, text: str, module: Module) -> None:
        super().__init__(file, text)
        self.module = module

    def read(self) -> None:
        while self.here.kind != "end":
            self._definition()

    def _definition(self) -> None:
        annotations, is_enabled = self._annotations()
        while self.accept("public", "isolated", "transactional", "final"):
            pass
        if self.is_at(*_BEYOND):
            raise BeyondStandIn(self.here.at, f"'{self.here.text}'")
        if self.is_at("import"):
            self._import()
        elif self.is_at("type"):
            self._type_definition()
        elif self.is_at("service"):
            self._service()
        elif self.is_at("function"):
            function = self._function(annotations, is_enabled)
            self._add(self.module.functions, function.name, function, function.at)
        else:
            self._variable()

    def _add(self, names: dict[str, Defined], name: str, what: Defined, at: Span) -> None:
        if name in names:
            raise CompileError(at, f"redeclared symbol '{name}'")
        names[name] = what

    def _annotations(self) -> tuple[tuple[str, ...], bool]:
        """Names of the annotations, and whether none of them says `enable: false`."""
        names: list[str] = []
        is_enabled = True
        while self.accept("@"):
            names.append(self.type().name)
            if self.is_at("{"):
                value = self.expression()
                pairs = dict(zip(value.names, value.args, strict=True))
                is_enabled = is_enabled and not ("enable" in pairs and pairs["enable"].value is False)
        return tuple(names), is_enabled

    def _import(self) -> None:
        at = self.take().at
        org = ""
        name = self.word()
        if self.accept("/"):
            org, name = name, self.word()
        while self.accept("."):
            name += "." + self.word()
        alias = self.word() if self.accept("as") else name.rsplit(".", 1)[-1]
        end = self.here.at
        self.semicolon()
        self.module.imports.append(Import(at._replace(end_line=end.end_line, end_column=end.end_column), org, name, alias))

    def _type_definition(self) -> None:
        at = self.take().at
        name = self.word()
        self._add(self.module.types, name, self.type(), at)
        self.semicolon()

    def _variable(self) -> None:
        kind = self.take().text if self.is_at("configurable", "const", "listener") else "variable"
        at = self.here.at
        is_untyped = self.here.kind == "word" and self.is_at("=", ahead=1)
        declared = Type("") if is_untyped else self.type()
        name = self.word()
        self.expect("=", "equal")
        value = None if kind == "configurable" and self.accept("?") else self.expression()
        self.semicolon()
        self._add(self.module.variables, name, Variable(name, kind, declared, at, value), at)

    def _service(self) -> None:
        at = self.take().at
        if not self.is_at("/", "on"):
            self.type()
        path: list[str] = []
        while self.accept("/"):
            if self.here.kind == "word" and not self.is_at("on"):
                path.append(self.word())
        self.expect("on", "on keyword")
        listener = self.expression()
        self.expect("{", "open brace")
        resources: list[Function] = []
        while not self.accept("}"):
            annotations, _ = self._annotations()
            while self.accept("isolated", "private", "final"):
                pass
            if not self.accept("resource"):
                raise BeyondStandIn(self.here.at, "members of a service that are not resources")
            resources.append(self._function(annotations, True, is_resource=True))
        self.module.services.append(Service(at, tuple(path), listener, tuple(resources)))

    def _function(self, annotations: tuple[str, ...], is_enabled: bool, *, is_resource: bool = False) -> Function:
        self.expect("function", "function keyword")
        name = self.here
        label = self.word()
        path, types = self._resource_path() if is_resource else ((), {})
        params = self._params()
        returns = Type("nil")
        if self.accept("returns"):
            self._annotations()
            returns = self.type()
        method = label.upper() if is_resource else ""
        return Function(label, name.at, params, returns, self._body(), annotations, is_enabled, method, path, types)

    def _resource_path(self) -> tuple[tuple[str, ...], dict[str, Type]]:
        path: list[str] = []
        types: dict[str, Type] = {}
        while not self.is_at("("):
            if self.accept("["):
                kind = self.type()
                name = self.word()
                self.expect("]", "close bracket")
                path.append("{" + name + "}")
                types[name] = kind
            elif self.accept("."):
                continue
            else:
                path.append(self.word())
            self.accept("/")
        return tuple(path), types

    def _params(self) -> tuple[Param, ...]:
        self.expect("(", "open parenthesis")
        params: list[Param] = []
        while not self.accept(")"):
            params.append(self._param())
            if not self.is_at(")"):
                self.expect(",", "comma")
        return tuple(params)

    def _param(self) -> Param:
        annotation = header = ""
        while self.accept("@"):
            annotation = self.type().name.split(":")[-1]
            if self.is_at("{"):
                value = self.expression()
                given = dict(zip(value.names, value.args, strict=True)).get("name")
                header = str(given.value) if given else ""
        kind = self.type()
        name = self.word()
        default = self.expression() if self.accept("=") else None
        return Param(name, kind, annotation, header or name, default)

    def _body(self) -> tuple[Stmt, ...]:
        if self.is_at("=>"):
            at = self.take().at
            value = self.expression()
            self.semicolon()
            return (Stmt("return", at, expr=value),)
        if self.accept("="):
            raise BeyondStandIn(self.here.at, "external functions")
        return self._block()

    def _block(self) -> tuple[Stmt, ...]:
        self.expect("{", "open brace")
        statements: list[Stmt] = []
        while not self.accept("}"):
            statements.append(self._statement())
        return tuple(statements)

    def _statement(self) -> Stmt:
        at = self.here.at
        if self.is_at(*_BEYOND):
            raise BeyondStandIn(at, f"'{self.here.text}'")
        if self.accept("return"):
            value = None if self.is_at(";") else self.expression()
            self.semicolon()
            return Stmt("return", at, expr=value)
        if self.accept("if"):
            return self._if()
        if self.accept("foreach"):
            kind = self.type()
            name = self.word()
            self.expect("in", "in keyword")
            return Stmt("foreach", at, name, self.expression(), kind, self._block())
        return self._declaration() or self._assignment_or_call()

    def _if(self) -> Stmt:
        condition = self.expression()
        body = self._block()
        other: tuple[Stmt, ...] = ()
        if self.accept("else"):
            other = (self._if(),) if self.accept("if") else self._block()
        return Stmt("if", condition.at, expr=condition, body=body, other=other)

    def _declaration(self) -> Stmt | None:
        """`T name = value;`, or None (and nothing read) where another kind of statement stands."""
        start = self.index
        at = self.here.at
        self.accept("final")
        try:
            kind = self.type()
            if self.here.kind != "word" or not self.is_at("=", ";", ahead=1):
                raise self.invalid()
        except CompileError:
            self.index = start
            return None
        name = self.word()
        value = self.expression() if self.accept("=") else None
        self.semicolon()
        return Stmt("let", at, name, value, kind)

    def _assignment_or_call(self) -> Stmt:
        at = self.here.at
        left: Expr = self.expression()
        if self.accept("="):
            if left.op != "name":
                raise BeyondStandIn(at, "assignments to members")
            value = self.expression()
            self.semicolon()
            return Stmt("set", at, left.text, value)
        if left.op not in ("call", "method", "remote", "check"):
            raise CompileError(at, "invalid expression statement" if self.is_at(";") else f"invalid token '{self.here.text}'")
        self.semicolon()
        return Stmt("do", at, expr=left)
