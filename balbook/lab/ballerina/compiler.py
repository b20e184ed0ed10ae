"""From sources to what an executable serves, and to the outcome of tests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from balbook.lab.ballerina.evaluate import Evaluator
from balbook.lab.ballerina.package import Sources
from balbook.lab.ballerina.parser import parse
from balbook.lab.ballerina.routes import Configurable, Program, Route
from balbook.lab.ballerina.source import BeyondStandIn, CompileError
from balbook.lab.ballerina.syntax import Function, Import, Module, Param, Service, Type
from balbook.lab.ballerina.values import Answer, Hole, Listener, Mixed, Problem, Work, as_json, as_text

LIBRARIES = frozenset(("http", "io", "log", "test", "uuid", "time", "os", "lang.runtime", "lang.value", "lang.string", "lang.array"))
_SIMPLE = frozenset(("string", "int", "boolean", "decimal", "float"))


def parsed(sources: Sources) -> dict[str, Module]:
    """The package's modules by name; CompileError where one is wrong or imports what Ballerina does not have."""
    modules = {name: parse(files) for name, files in sources.modules.items()}
    for imported in (i for module in modules.values() for i in module.imports):
        is_known = imported.name in modules if not imported.org else imported.org != "ballerina" or imported.name in LIBRARIES
        if not is_known:
            raise CompileError(imported.at, f"cannot resolve module '{import_name(imported)}'")
    return modules


def import_name(imported: Import) -> str:
    """`org/name`, or the bare name of a module of the package's own."""
    return f"{imported.org}/{imported.name}" if imported.org else imported.name


def imports(modules: Mapping[str, Module]) -> list[Import]:
    """What the modules import from other packages, Ballerina's own left out."""
    return [i for module in modules.values() for i in module.imports if i.org and i.org != "ballerina"]


def evaluators(sources: Sources, modules: Mapping[str, Module]) -> dict[str, Evaluator]:
    """A symbolic evaluator for each module, each knowing the others by the aliases that it imports them under."""
    made = {name: Evaluator(module, f"{sources.org}.{name}") for name, module in modules.items()}
    for evaluator in made.values():
        evaluator.others = {i.alias: made[i.name] for i in evaluator.module.imports if i.name in made and i.org in ("", sources.org)}
    return made


def program(root: Sources, dependencies: Sequence[Sources]) -> Program:
    """What the executable of `root`, linked with its dependencies, does."""
    routes: list[Route] = []
    configurables: list[Configurable] = []
    prints: list[str] = []
    for sources in (*dependencies, root):
        for evaluator in evaluators(sources, parsed(sources)).values():
            routes += module_routes(evaluator)
            configurables += _configurables(evaluator)
            if sources is root and evaluator.name.endswith(f".{root.name}") and "main" in evaluator.module.functions:
                prints += _started(evaluator)
    packages = {s.full_name: s.version for s in (*dependencies, root)}
    made = Program(root.name, root.version, packages, routes, configurables, prints)
    clash = _clash(routes)
    return replace(made, exit_status=1, exit_message=clash) if clash else made


def module_routes(evaluator: Evaluator) -> list[Route]:
    """The routes of a module's services."""
    found = [_route(evaluator, service, resource) for service in evaluator.module.services for resource in service.resources]
    for name, variable in evaluator.module.variables.items():
        if variable.kind in ("listener", "const"):
            evaluator.variable(name, variable.at)
    return found


def full_path(service: Service, resource: Function) -> str:
    """The path that reaches a resource, `{name}` for its parameters."""
    return "/" + "/".join((*service.path, *resource.path))


def answer_of(value: object, resource: Function, evaluator: Evaluator) -> Answer:
    """The HTTP answer that Ballerina makes of what a resource returns."""
    if isinstance(value, Answer):
        return value
    if isinstance(value, Problem):
        return Answer(500, value)
    first = resource.returns.of[0] if resource.returns.name == "union" else resource.returns
    status = evaluator.status_of(first)
    if status is not None and isinstance(value, dict):
        return Answer(status, value.get("body"))
    if value is None:
        return Answer(202)
    return Answer(201 if resource.method == "POST" else 200, value)


def argument_kind(param: Param) -> str:
    """Where a resource's parameter comes from: `request`, `header`, `query` or `payload`."""
    if param.type.name in ("http:Request", "http:RequestContext"):
        return "request"
    if param.annotation in ("Header", "Query", "Payload"):
        return param.annotation.lower()
    parts = param.type.of if param.type.name in ("union", "array") else (param.type,)
    return "query" if all(part.name in _SIMPLE or part.name == "nil" for part in parts) else "payload"


def _route(evaluator: Evaluator, service: Service, resource: Function) -> Route:
    listener = evaluator.value(service.listener, {})
    if not isinstance(listener, Listener):
        raise BeyondStandIn(service.at, "this listener")
    evaluator.work = Work()
    required: tuple[str, ...] = ()
    scope: list[object] = [Hole(f"path.{name}", is_text=kind.name == "string") for name, kind in resource.path_types.items()]
    for param in resource.params:
        scope.append(_argument(param))
        if argument_kind(param) == "payload":
            required = _required(evaluator.module, param.type)
    answer = answer_of(evaluator.call(with_path_params(resource), scope), resource, evaluator)
    body, content_type = rendered(answer)
    work = evaluator.work
    path = full_path(service, resource)
    return Route(resource.method, path, answer.status, body, work.delay_ms, content_type, listener.port, required, tuple(work.prints))


def with_path_params(resource: Function) -> Function:
    """The resource as a function whose first parameters are those of its path."""
    return replace(resource, params=(*(Param(name, kind) for name, kind in resource.path_types.items()), *resource.params))


def rendered(answer: Answer) -> tuple[str, str]:
    """Body and content type of an answer."""
    if answer.body is None:
        return "", "text/plain"
    if isinstance(answer.body, str | Mixed) or (isinstance(answer.body, Hole) and answer.body.is_text):
        return as_text(answer.body), "text/plain"
    return as_json(answer.body), "application/json"


def _argument(param: Param) -> Hole:
    kind = argument_kind(param)
    if kind == "header":
        return Hole(f"header.{param.header}")
    if kind == "query":
        return Hole(f"query.{param.name}", is_text="string" in (param.type.name, *(part.name for part in param.type.of)))
    return Hole(kind, is_text=False)


def _required(module: Module, kind: Type) -> tuple[str, ...]:
    """The fields that a payload of this type must have, included records' too."""
    record = module.types.get(kind.name, kind)
    own = tuple(name for name, must in record.fields.items() if must)
    inherited = (name for include in record.includes for name in _required(module, Type(include)))
    return tuple(dict.fromkeys((*inherited, *own)))


def _configurables(evaluator: Evaluator) -> Iterable[Configurable]:
    concrete = Evaluator(evaluator.module, evaluator.name, is_symbolic=False)
    for name, variable in evaluator.module.variables.items():
        if variable.kind == "configurable":
            default = None if variable.value is None else as_text(concrete.variable(name, variable.at))
            yield Configurable(f"{evaluator.name}.{name}", default)


def _started(evaluator: Evaluator) -> list[str]:
    evaluator.work = Work()
    evaluator.call(evaluator.module.functions["main"], [])
    return evaluator.work.prints


def _clash(routes: Sequence[Route]) -> str:
    """What Ballerina says at the start where two services are attached to one path; empty where none are."""
    seen: set[tuple[str, str, str]] = set()
    for route in routes:
        key = (route.port, route.method, route.path)
        if key in seen:
            return f"service registration failed: two services have the same basePath : '{route.path}'"
        seen.add(key)
    return ""
