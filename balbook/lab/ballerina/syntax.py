"""The syntax tree of the part of Ballerina that the stand-in runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from balbook.lab.ballerina.source import Span


@dataclass(frozen=True)
class Type:
    """A type by name (`int`, `http:Response`, `map`, `record`, `union`, `array`, `nil`); `of` are the types it is made from.

    `fields` of a record: name to whether a value must be given. `includes`: the types after `*`.
    """

    name: str
    of: tuple[Type, ...] = ()
    fields: Mapping[str, bool] = field(default_factory=dict)
    includes: tuple[str, ...] = ()

    @property
    def is_optional(self) -> bool:
        return self.name == "nil" or (self.name == "union" and any(part.is_optional for part in self.of))


@dataclass(frozen=True)
class Expr:
    """An expression: `op` says which kind, `args` its parts, `text` its literal text or name."""

    op: str
    at: Span
    text: str = ""
    args: tuple[Expr, ...] = ()
    names: tuple[str, ...] = ()
    value: object = None
    type: Type | None = None


@dataclass(frozen=True)
class Stmt:
    """A statement: `return`, `let`, `set`, `do`, `if`, `foreach`."""

    op: str
    at: Span
    name: str = ""
    expr: Expr | None = None
    type: Type | None = None
    body: tuple[Stmt, ...] = ()
    other: tuple[Stmt, ...] = ()


@dataclass(frozen=True)
class Param:
    """A parameter; `annotation` is `Header`, `Payload`, `Query` or empty, `header` the header's name."""

    name: str
    type: Type
    annotation: str = ""
    header: str = ""
    default: Expr | None = None


@dataclass(frozen=True)
class Function:
    """A function, or a resource of a service: then `method` and `path` (`[name]` as `{name}`) are set."""

    name: str
    at: Span
    params: tuple[Param, ...]
    returns: Type
    body: tuple[Stmt, ...]
    annotations: tuple[str, ...] = ()
    is_enabled: bool = True
    method: str = ""
    path: tuple[str, ...] = ()
    path_types: Mapping[str, Type] = field(default_factory=dict)


@dataclass(frozen=True)
class Service:
    """`service /path on listener`, with its resources."""

    at: Span
    path: tuple[str, ...]
    listener: Expr
    resources: tuple[Function, ...]


@dataclass(frozen=True)
class Variable:
    """A variable of a module; `kind` is `configurable`, `const`, `listener` or `variable`."""

    name: str
    kind: str
    type: Type
    at: Span
    value: Expr | None


@dataclass(frozen=True)
class Import:
    """`import org/name as alias;` org is empty for a module of the package's own."""

    at: Span
    org: str
    name: str
    alias: str


@dataclass
class Module:
    """What the files of one module define together."""

    imports: list[Import] = field(default_factory=list)
    types: dict[str, Type] = field(default_factory=dict)
    variables: dict[str, Variable] = field(default_factory=dict)
    functions: dict[str, Function] = field(default_factory=dict)
    services: list[Service] = field(default_factory=list)
