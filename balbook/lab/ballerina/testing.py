"""Runs the test functions of a package, as `bal test` does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from balbook.lab.ballerina.binding import Returned
from balbook.lab.ballerina.compiler import answer_of, argument_kind, full_path, parsed, with_path_params
from balbook.lab.ballerina.evaluate import Evaluator
from balbook.lab.ballerina.library import AssertionFailed
from balbook.lab.ballerina.package import Sources
from balbook.lab.ballerina.syntax import Function
from balbook.lab.ballerina.values import Answer, Problem


@dataclass(frozen=True)
class Outcome:
    """How one test function ended; `problem` is empty where it passed."""

    name: str
    problem: str = ""


def run_tests(
    root: Sources, tests: Mapping[str, Mapping[str, str]], linked: list[Sources], config: Mapping[str, str]
) -> dict[str, list[Outcome]]:
    """The outcome of each enabled test function, by module; `linked` are the packages that the tests' clients reach too."""
    served = [evaluator for sources in linked for evaluator in _concrete(sources, config)]
    outcomes: dict[str, list[Outcome]] = {}
    for name, files in root.modules.items():
        joined = Sources(root.org, root.name, root.version, {**root.modules, name: {**files, **tests.get(name, {})}})
        own = _concrete(joined, config)
        reachable = [*served, *own]
        for evaluator in reachable:
            evaluator.send = lambda *request, reachable=reachable: _sent(reachable, *request)
        subject = next(e for e in own if e.name == f"{root.org}.{name}")
        functions = [f for f in subject.module.functions.values() if "test:Config" in f.annotations and f.is_enabled]
        outcomes[name] = [_outcome(subject, function) for function in functions]
    return outcomes


def _concrete(sources: Sources, config: Mapping[str, str]) -> list[Evaluator]:
    modules = parsed(sources)
    made = {n: Evaluator(m, f"{sources.org}.{n}", config=config, is_symbolic=False) for n, m in modules.items()}
    for evaluator in made.values():
        evaluator.others = {i.alias: made[i.name] for i in evaluator.module.imports if i.name in made and i.org in ("", sources.org)}
    return list(made.values())


def _outcome(evaluator: Evaluator, function: Function) -> Outcome:
    try:
        value = evaluator.call(function, [])
    except AssertionFailed as failed:
        return Outcome(function.name, f'error {{ballerina/test:0}}TestError ("{failed}")')
    except Returned as returned:
        value = returned.value
    return Outcome(function.name, f'error ("{value.message}")' if isinstance(value, Problem) else "")


def _sent(reachable: list[Evaluator], method: str, path: str, payload: Any, headers: Mapping[str, str]) -> Answer:
    """The answer of the first resource that the request reaches; 404 where none is."""
    wanted = path.split("?")[0].strip("/").split("/")
    for evaluator in reachable:
        for service in evaluator.module.services:
            for resource in service.resources:
                bound = _bound(full_path(service, resource).strip("/").split("/"), wanted)
                if resource.method == method and bound is not None:
                    return _answered(evaluator, resource, bound, payload, headers)
    return Answer(404, {"message": f"no matching resource found for path : {path} , method : {method}"})


def _bound(pattern: list[str], path: list[str]) -> dict[str, str] | None:
    if len(pattern) != len(path):
        return None
    pairs = list(zip(pattern, path, strict=True))
    if any(not p.startswith("{") and p != given for p, given in pairs):
        return None
    return {p[1:-1]: given for p, given in pairs if p.startswith("{")}


def _answered(evaluator: Evaluator, resource: Function, bound: Mapping[str, str], payload: Any, headers: Mapping[str, str]) -> Answer:
    given = {name.lower(): value for name, value in headers.items()}
    args: list[Any] = [bound[name] for name in resource.path_types]
    for param in resource.params:
        kind = argument_kind(param)
        args.append(payload if kind == "payload" else given.get(param.header.lower()) if kind == "header" else None)
    return answer_of(evaluator.call(with_path_params(resource), args), resource, evaluator)
