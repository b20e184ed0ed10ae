"""The routes of a lab's executable, read from signatures, and the text that the runtime reads (`routes.tsv`)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from balbook.lab.ballerina.package import Sources
from balbook.lab.ballerina.reader import Import, Module, Resource, Service, Tokens, Variable, read_module, split

OVER_HTTP = ("http", "graphql", "websocket", "websub", "websubhub")
"""Ballerina's modules with listeners for HTTP; listeners of other modules are not opened."""
_NO_TYPES = ("check", "checkpanic", "new", "listener", "public", "final", "isolated")


@dataclass(frozen=True)
class Route:
    """A route. `place`: empty for the default listener, else a port, or `NAME|OTHER NAME=PORT` for a configurable one."""

    method: str
    path: str
    signature: str
    package: str
    version: str
    place: str = ""


@dataclass(frozen=True)
class Program:
    """The behaviour of an executable. `settings`: those of the stand-in, `balbook.lab.…`, which Config.toml overrides.

    `required`: configurable variables without a default, each by all names that Config.toml can use. `exit_status`, where set,
    ends the executable at its start with `exit_message`.
    """

    application: str
    version: str
    packages: Mapping[str, str]
    routes: Sequence[Route] = ()
    required: Sequence[str] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    exit_status: int | None = None
    exit_message: str = "this release is made to end at its start"


def read_modules(sources: Sources) -> dict[str, Module]:
    """The modules of a package by name. Raises CompileError where a bracket or a string is not closed."""
    return {name: read_module(files) for name, files in sources.modules.items()}


def imports(sources: Sources, modules: Mapping[str, Module]) -> dict[str, Import]:
    """The imports from other packages but Ballerina's own, by `org/name` of the module."""
    found = [i for module in modules.values() for i in module.imports if not i.org.startswith("ballerina")]
    own = {f"{sources.org}/{name}" for name in sources.modules}
    return {name: i for i in found if (name := f"{i.org or sources.org}/{i.name}") not in own}


def program(root: Sources, dependencies: Sequence[Sources]) -> Program:
    """The program of `root`, linked with its dependencies."""
    routes: list[Route] = []
    required: list[str] = []
    owners: dict[tuple[str, str], Sources] = {}
    ending: dict[str, Any] = {}
    for sources in (*dependencies, root):
        package = _Package(sources, read_modules(sources), is_root=sources is root)
        required += package.required()
        for service, resources, place in package.services():
            routes += [_route(sources, service, resource, place) for resource in resources]
            base = "/" + "/".join(service.path)
            if owners.setdefault((place, base), sources) is not sources:
                clash = f"service registration failed: two services have the same basePath : '{base}'"
                ending = {"exit_status": 1, "exit_message": clash}
    packages = {s.full_name: s.version for s in (*dependencies, root)}
    return Program(root.name, root.version, packages, routes, required, **ending)


def table(program: Program) -> str:
    """The program as `routes.tsv`: a line a record, fields between tabs, with the escapes `\\t`, `\\n` and `\\\\`."""
    return "".join("\t".join(map(_escaped, record)) + "\n" for record in _records(program))


@dataclass(frozen=True)
class _Package:
    """One package of a program. A name is followed through the package's own modules."""

    sources: Sources
    modules: Mapping[str, Module]
    is_root: bool

    def required(self) -> list[str]:
        """The configurable variables that have no default."""
        named = [(module, name, v) for module, found in self.modules.items() for name, v in found.variables.items()]
        return [self.setting(module, name) for module, name, v in named if v.is_configurable and _texts(v.value) == ["?"]]

    def services(self) -> Iterator[tuple[Service, Sequence[Resource], str]]:
        """Each service with its resources, at each place. A service that is not plain HTTP has one resource, at the service's path."""
        for name, module in self.modules.items():
            for service in module.services:
                for listener in service.listeners:
                    kind, place = self._listener(name, listener)
                    if kind in OVER_HTTP:
                        yield service, service.resources if kind == "http" else (Resource("default", (), f"{kind}:Service"),), place

    def setting(self, module: str, name: str) -> str:
        """All names that Config.toml can use for a variable: `org.module.name|module.name|name`."""
        names = [f"{self.sources.org}.{module}.{name}"]
        if self.is_root:
            names += [f"{module}.{name}", name][: 2 if module == self.sources.name else 1]
        return "|".join(names)

    def _listener(self, module: str, listener: Tokens, declared: Sequence[str] = ()) -> tuple[str, str]:
        """Kind and place of a listener. A port that cannot be read from the source counts as the default listener's."""
        if "getDefaultListener" in _texts(listener):
            return "http", ""
        if variable := self._variable(module, listener):
            where, _, found = variable
            return self._listener(where, found.value, found.before)
        opened = next((i for i, t in enumerate(listener) if t.text == "("), len(listener))
        words = [word for word in (*declared, *_texts(listener[:opened])) if word not in _NO_TYPES]
        kind = self.modules[module].module_of(words[0]) if words else ""
        first = next(split(listener[opened + 1 : -1], ","), ())
        is_named = len(first) > 2 and first[1].text == "="
        return kind.removeprefix("ballerina/"), self._port(module, first[2:] if is_named else first)

    def _port(self, module: str, value: Tokens) -> str:
        if len(value) == 1 and value[0].text.isdigit():
            return value[0].text
        variable = self._variable(module, value)
        if not variable:
            return ""
        where, name, found = variable
        if "new" in _texts(found.value):
            return self._listener(where, found.value, found.before)[1]
        port = self._port(where, found.value)
        return f"{self.setting(where, name)}={port}" if found.is_configurable else port

    def _variable(self, module: str, reference: Tokens) -> tuple[str, str, Variable] | None:
        """Module, name and variable behind `name` or `alias:name`."""
        match _texts(reference):
            case [name]:
                where = module
            case [alias, ":", name]:
                where = self.modules[module].module_of(alias).rpartition("/")[2]
            case _:
                return None
        found = self.modules[where].variables.get(name) if where in self.modules else None
        return (where, name, found) if found else None


def _route(sources: Sources, service: Service, resource: Resource, place: str) -> Route:
    path = "/" + "/".join((*service.path, *resource.path))
    return Route(resource.method.upper(), path, resource.signature, sources.full_name, sources.version, place)


def _records(program: Program) -> Iterator[tuple[str, ...]]:
    yield ("application", program.application)
    yield ("version", program.version)
    for name, version in sorted(program.packages.items()):
        yield ("package", f"{name}:{version}")
    for names in program.required:
        yield ("required", names)
    for name, value in program.settings.items():
        yield ("setting", name, value)
    if program.exit_status is not None:
        yield ("exit", str(program.exit_status), program.exit_message)
    for route in program.routes:
        about = {"package": route.package, "version": route.version, "resource": route.signature}
        yield ("route", route.place, route.method, route.path, json.dumps(about, ensure_ascii=False, separators=(",", ":"))[1:-1])


def _texts(part: Tokens) -> list[str]:
    return [token.text for token in part]


def _escaped(field: str) -> str:
    return field.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
