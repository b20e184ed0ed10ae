"""Evaluates functions and expressions of a module.

Symbolically, to find what a resource will answer: what only a request or the configuration can say stays a hole. Or
concretely, in tests: then nothing is a hole, and a client's requests reach the package's own resources.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from balbook.lab.ballerina.binding import Client, Returned, converted, fitted, is_of, listener
from balbook.lab.ballerina.library import LIBRARY, call_method
from balbook.lab.ballerina.operators import CONSTANTS, operated
from balbook.lab.ballerina.source import BeyondStandIn, CompileError, Span
from balbook.lab.ballerina.syntax import Expr, Function, Module, Stmt, Type, Variable
from balbook.lab.ballerina.values import STATUSES, Answer, Hole, Members, Mixed, Problem, Work, joined

Send = Callable[[str, str, Any, Mapping[str, str]], Answer]
"""Sends a request of a test: method, path, payload, headers."""
Scope = dict[str, Any]


class Evaluator:
    """One module with its variables; `config` holds the values of configurable variables by full name."""

    def __init__(
        self, module: Module, name: str, *, config: Mapping[str, str] | None = None, is_symbolic: bool = True, send: Send | None = None
    ) -> None:
        self.module = module
        self.name = name
        self.config = config or {}
        self.is_symbolic = is_symbolic
        self.send = send
        self.work = Work()
        self.others: dict[str, Evaluator] = {}
        self._values: dict[str, Any] = {}

    def call(self, function: Function, args: list[Any], names: tuple[str, ...] = ()) -> Any:
        """The value that the function returns for these arguments."""
        scope: Scope = {}
        names = names or ("",) * len(args)
        by_name = {name: arg for name, arg in zip(names, args, strict=False) if name}
        by_position = [arg for name, arg in zip(names, args, strict=False) if not name]
        for index, param in enumerate(function.params):
            if index < len(by_position):
                scope[param.name] = by_position[index]
            elif param.name in by_name:
                scope[param.name] = by_name[param.name]
            elif param.default is not None:
                scope[param.name] = self.value(param.default, scope)
            else:
                raise CompileError(function.at, f"missing required parameter '{param.name}' in call to '{function.name}()'")
        try:
            self._run(function.body, scope)
        except Returned as returned:
            return returned.value
        return None

    def variable(self, name: str, at: Span) -> Any:
        """The value of a variable of the module."""
        if name not in self._values:
            if name not in self.module.variables:
                raise CompileError(at, f"undefined symbol '{name}'")
            self._values[name] = self._initial(self.module.variables[name])
        return self._values[name]

    def _initial(self, variable: Variable) -> Any:
        if variable.kind != "configurable":
            value = self.value(variable.value, {}) if variable.value else None
            return fitted(value, variable.type)
        full_name = f"{self.name}.{variable.name}"
        if self.is_symbolic:
            return Hole(f"config.{full_name}", is_text=variable.type.name == "string")
        if full_name in self.config:
            return converted(self.config[full_name], variable.type)
        return self.value(variable.value, {}) if variable.value else None

    # Statements

    def _run(self, body: tuple[Stmt, ...], scope: Scope) -> None:
        for statement in body:
            self._step(statement, scope)

    def _step(self, statement: Stmt, scope: Scope) -> None:
        value = self.value(statement.expr, scope) if statement.expr else None
        match statement.op:
            case "return":
                raise Returned(value)
            case "let":
                scope[statement.name] = fitted(value, statement.type)
            case "set":
                if statement.name not in scope:
                    raise BeyondStandIn(statement.at, "assignments to variables of a module")
                scope[statement.name] = value
            case "if":
                self._run(statement.body if self._is_true(value, statement.at) else statement.other, scope)
            case "foreach":
                self._require_known(value, statement.at)
                for item in value or ():
                    scope[statement.name] = item
                    self._run(statement.body, scope)

    def _is_true(self, value: Any, at: Span) -> bool:
        self._require_known(value, at)
        if not isinstance(value, bool):
            raise CompileError(at, "incompatible types: expected 'boolean'")
        return value

    def _require_known(self, value: Any, at: Span) -> None:
        if isinstance(value, Hole | Mixed):
            raise BeyondStandIn(at, "decisions on a request's values")

    # Expressions

    def value(self, expr: Expr, scope: Scope) -> Any:
        """The value of an expression."""
        match expr.op:
            case "literal":
                return expr.value
            case "name":
                return self._named(expr, scope)
            case "template":
                return joined([self.value(part, scope) for part in expr.args])
            case "list":
                return [self.value(part, scope) for part in expr.args]
            case "mapping":
                return self._mapping(expr, scope)
            case "cast":
                return self._cast(self.value(expr.args[0], scope), expr.type or Type(""))
            case "check":
                return self._checked(self.value(expr.args[0], scope))
            case "is":
                value = self.value(expr.args[0], scope)
                self._require_known(value, expr.at)
                return is_of(value, expr.type or Type("")) is (expr.text == "is")
            case "choose":
                condition = self._is_true(self.value(expr.args[0], scope), expr.at)
                return self.value(expr.args[1 if condition else 2], scope)
            case "operate":
                return self._operated(expr, scope)
            case "unary":
                return self._unary(expr, scope)
            case "call":
                return self._call(expr, scope)
        return self._reached(expr, scope)

    def _reached(self, expr: Expr, scope: Scope) -> Any:
        """The value of an expression that goes through an object: a client, a listener, a member."""
        match expr.op:
            case "new":
                args = [self.value(a, scope) for a in expr.args]
                return listener(args) if expr.type and expr.type.name == "http:Listener" else Client()
            case "path":
                return "/" + "/".join(str(self.value(part, scope)) for part in expr.args)
            case "remote":
                return self._remote(expr, scope)
        owner = self.value(expr.args[0], scope)
        if expr.op == "method":
            return call_method(owner, expr, [self.value(a, scope) for a in expr.args[1:]])
        return self._member(owner, expr, scope)

    def _named(self, expr: Expr, scope: Scope) -> Any:
        if expr.text in scope:
            return scope[expr.text]
        prefix, _, name = expr.text.rpartition(":")
        if prefix == "http" and name.removeprefix("STATUS_") in CONSTANTS:
            code = CONSTANTS[name.removeprefix("STATUS_")]
            return code if name.startswith("STATUS_") else Answer(code)
        if prefix in self.others:
            return self.others[prefix].variable(name, expr.at)
        if prefix:
            raise BeyondStandIn(expr.at, f"'{expr.text}'")
        return self.variable(name, expr.at)

    def _mapping(self, expr: Expr, scope: Scope) -> dict[str, Any]:
        pairs: dict[str, Any] = {}
        has_members = False
        for name, part in zip(expr.names, expr.args, strict=True):
            value = self.value(part, scope)
            if name:
                pairs[name] = value
            elif isinstance(value, dict):
                pairs |= value
            elif value == Hole("payload", is_text=False):
                has_members = True
            else:
                raise BeyondStandIn(expr.at, "this spread field")
        return Members(pairs) if has_members else pairs

    def _cast(self, value: Any, to: Type) -> Any:
        status = self.status_of(to)
        if status and isinstance(value, dict):
            return Answer(status, value.get("body"))
        return value

    def status_of(self, kind: Type) -> int | None:
        """The HTTP status that a type stands for, by its name or by what it includes."""
        declared = self.module.types.get(kind.name, kind)
        for name in (kind.name, declared.name, *declared.includes):
            if name.startswith("http:") and name[5:] in STATUSES:
                return STATUSES[name[5:]]
        return None

    def _checked(self, value: Any) -> Any:
        if isinstance(value, Problem):
            raise Returned(value)
        return value

    def _operated(self, expr: Expr, scope: Scope) -> Any:
        left = self.value(expr.args[0], scope)
        if expr.text == "?:":
            return self._otherwise(left, expr, scope)
        if expr.text in ("&&", "||"):
            is_left = self._is_true(left, expr.at)
            return is_left if is_left == (expr.text == "||") else self._is_true(self.value(expr.args[1], scope), expr.at)
        right = self.value(expr.args[1], scope)
        if expr.text == "+" and isinstance(left, str | Mixed | Hole) and isinstance(right, str | Mixed | Hole):
            return joined([left, right])
        self._require_known(left, expr.at)
        self._require_known(right, expr.at)
        return operated(expr.text, left, right, expr.at)

    def _otherwise(self, left: Any, expr: Expr, scope: Scope) -> Any:
        """`left ?: right`; a header or a query parameter that is missing is the empty string at run time."""
        right = self.value(expr.args[1], scope)
        if isinstance(left, Hole) and right not in ("", None):
            raise BeyondStandIn(expr.at, "a default that is not empty for a request's value")
        return right if left is None else left

    def _unary(self, expr: Expr, scope: Scope) -> Any:
        value = self.value(expr.args[0], scope)
        if expr.text == "!":
            return not self._is_true(value, expr.at)
        self._require_known(value, expr.at)
        return -value

    def _call(self, expr: Expr, scope: Scope) -> Any:
        args = [self.value(a, scope) for a in expr.args]
        prefix, _, name = expr.text.rpartition(":")
        if not prefix and name in self.module.functions:
            return self.call(self.module.functions[name], args, expr.names)
        if prefix in self.others and name in self.others[prefix].module.functions:
            other = self.others[prefix]
            return other.call(other.module.functions[name], args, expr.names)
        if expr.text == "error":
            return Problem(str(args[0]))
        if expr.text not in LIBRARY:
            known = {i.alias for i in self.module.imports}
            if not prefix:
                raise CompileError(expr.at, f"undefined function '{name}'")
            if prefix not in known:
                raise CompileError(expr.at, f"undefined module '{prefix}'")
            raise BeyondStandIn(expr.at, f"'{expr.text}'")
        return LIBRARY[expr.text](self.work, self.is_symbolic, args, dict(zip(expr.names, args, strict=True)))

    def _remote(self, expr: Expr, scope: Scope) -> Any:
        if self.send is None:
            raise BeyondStandIn(expr.at, "calls of other services")
        args = [self.value(a, scope) for a in expr.args[1:]]
        names = expr.names[-len(args) :] if args and len(expr.names) >= len(args) else ("",) * len(args)
        plain = [a for a, n in zip(args, names, strict=True) if not n]
        has_payload = expr.text not in ("get", "head", "options") and len(plain) > 1
        given = plain[2:] if has_payload else plain[1:]
        headers = next((a for a, n in zip(args, names, strict=True) if n == "headers"), given[0] if given else {})
        return self.send(expr.text.upper(), str(plain[0]), plain[1] if has_payload else None, headers)

    def _member(self, owner: Any, expr: Expr, scope: Scope) -> Any:
        if expr.op == "index":
            self._require_known(owner, expr.at)
            try:
                return owner[self.value(expr.args[1], scope)]
            except (IndexError, KeyError, TypeError):
                return Problem("index out of range")
        if isinstance(owner, Hole):
            if owner.name != "payload":
                raise BeyondStandIn(expr.at, "members of members")
            return Hole(f"payload.{expr.text}", is_text=False)
        if isinstance(owner, Answer) and expr.text == "statusCode":
            return owner.status
        if isinstance(owner, dict):
            return owner.get(expr.text)
        raise CompileError(expr.at, f"undefined field '{expr.text}'")
