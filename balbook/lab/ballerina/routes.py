"""What a lab's executable serves, as data, and the text form that its runtime reads (`routes.tsv`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

EXECUTED = "executed {{request.method}} {{request.path}} id={{header.X-Request-Id}}"
"""What a route that changes something prints: the probe counts executions by the request's id."""


@dataclass(frozen=True)
class Route:
    """One resource: a method and a path (`/rooms/{id}`), what it prints, how long it sleeps, and what it answers.

    `body` and `prints` may hold `{{path.x}}`, `{{query.x}}`, `{{header.x}}`, `{{payload}}`, `{{payload.x}}`, `{{members}}`,
    `{{config.x}}`, `{{request.method}}`, `{{request.path}}` and `{{uuid}}`. `{{plain:…}}` takes
    JSON's quotes off a member, `{{text:…}}` gives what stands between the quotes of a JSON string.
    `port`: empty for the default listener, a number, or `config.NAME`. `required`: members that a JSON payload must have.
    Where `prints` is empty, a POST prints `EXECUTED`.
    """

    method: str
    path: str
    status: int = 200
    body: str = ""
    delay_ms: int = 0
    content_type: str = "application/json"
    port: str = ""
    required: tuple[str, ...] = ()
    prints: tuple[str, ...] = ()


@dataclass(frozen=True)
class Configurable:
    """A configurable variable by its full name (`acme.rooms.currency`); `default` is None where a value is required."""

    name: str
    default: str | None = None


@dataclass(frozen=True)
class Program:
    """All that an executable does. `prints` are lines at its start; `exit_status`, where set, ends it there with `exit_message`."""

    application: str
    version: str
    packages: Mapping[str, str]
    routes: Sequence[Route] = ()
    configurables: Sequence[Configurable] = ()
    prints: Sequence[str] = field(default=())
    exit_status: int | None = None
    exit_message: str = "this release is made to end at its start"


def table(program: Program) -> str:
    """The program as `routes.tsv`: a record a line, its fields parted by tabs, `\\t`, `\\n` and `\\\\` as escapes."""
    return "".join("\t".join(map(_escaped, record)) + "\n" for record in _records(program))


def _records(program: Program) -> Iterator[tuple[str, ...]]:
    yield ("application", program.application)
    yield ("version", program.version)
    for name, version in sorted(program.packages.items()):
        yield ("package", name, version)
    for variable in program.configurables:
        yield ("config", variable.name, "required" if variable.default is None else "optional", variable.default or "")
    for line in program.prints:
        yield ("print", line)
    if program.exit_status is not None:
        yield ("exit", str(program.exit_status), program.exit_message)
    for route in program.routes:
        yield _route_record(route)


def _route_record(route: Route) -> tuple[str, ...]:
    prints = route.prints or ((EXECUTED,) if route.method == "POST" else ())
    required = ",".join(route.required)
    what = (route.port, route.method, route.path, str(route.status), str(route.delay_ms), route.content_type, required, route.body)
    return ("route", *what, *prints)


def _escaped(field: str) -> str:
    return field.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
