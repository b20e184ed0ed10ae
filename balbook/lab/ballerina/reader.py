"""The signatures of a module: imports, services with their resources, test functions, variables of the module."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from balbook.lab.ballerina.source import Token, place, tokens

Tokens = Sequence[Token]


@dataclass(frozen=True)
class Import:
    """An import, `import org/name as alias;`; `org` is empty where the source has none. `at`: the place in the source."""

    org: str
    name: str
    alias: str
    at: str


@dataclass(frozen=True)
class Resource:
    """A resource of a service. `method`: `default` for all methods. In `path` a parameter is `[]`, the rest of a path `[...]`."""

    method: str
    path: tuple[str, ...]
    signature: str


@dataclass(frozen=True)
class Service:
    """A service. `listeners`: the expressions after `on`."""

    path: tuple[str, ...]
    listeners: tuple[Tokens, ...]
    resources: tuple[Resource, ...]


@dataclass(frozen=True)
class Test:
    """An enabled test function. `failure`: the reason of a certain failure, else empty."""

    name: str
    failure: str = ""


@dataclass(frozen=True)
class Variable:
    """A variable of a module: the words before the name, and the value."""

    before: tuple[str, ...]
    value: Tokens

    @property
    def is_configurable(self) -> bool:
        return "configurable" in self.before


@dataclass
class Module:
    """The declarations in the files of a module."""

    imports: list[Import] = field(default_factory=list)
    services: list[Service] = field(default_factory=list)
    tests: list[Test] = field(default_factory=list)
    variables: dict[str, Variable] = field(default_factory=dict)

    def module_of(self, alias: str) -> str:
        """The module behind an alias, `ballerina/http` for `http`; empty for an unknown alias."""
        return next((f"{i.org}/{i.name}" for i in self.imports if i.alias == alias), "")


def read_module(files: Mapping[str, str]) -> Module:
    """The module in these files. Raises CompileError where a bracket or a string is not closed."""
    module = Module()
    for file, text in files.items():
        found = tokens(file, text)
        for statement in _statements(found):
            _read_statement(statement, file, text, module)
        module.tests += _tests(found)
    return module


def _statements(found: Tokens) -> Iterator[Tokens]:
    """The declarations of a file; a value or a type with braces can come in several parts."""
    start = 0
    for index, token in enumerate(found):
        if token.depth == 0 and _is(token, ";", "}"):
            yield found[start : index + 1]
            start = index + 1


def _read_statement(part: Tokens, file: str, text: str, module: Module) -> None:
    if _is(part[0], "import"):
        module.imports += _import(part, place(file, text, part[0].start, part[-1].end))
        return
    outer = [index for index, token in enumerate(part) if token.depth == 0]
    for index in outer:
        if _is(part[index], "service") and (service := _service(part[index + 1 :], text)):
            module.services.append(service)
            return
    equals = next((index for index in outer[1:-1] if _is(part[index], "=") and part[index + 1].text not in ("=", ">")), 0)
    if equals:
        before = tuple(token.text for token in part[: equals - 1])
        module.variables[part[equals - 1].text] = Variable(before, part[equals + 1 : -1] if _is(part[-1], ";") else part[equals + 1 :])


def _import(part: Tokens, at: str) -> list[Import]:
    words = [token.text for token in part[1:-1]]
    alias = words.pop() if len(words) > 2 and words[-2] == "as" else ""
    name = "".join(words[:-1] if alias else words)
    org, _, module = name.rpartition("/")
    return [Import(org, module, alias or module.rpartition(".")[2], at)]


def _service(part: Tokens, text: str) -> Service | None:
    """The service after the word `service`; None where the word begins a class, a type or a value."""
    at = 0
    while at < len(part) and not _is(part[at], "/", "on") and part[at].kind != "string":
        if part[at].depth == 0 and _is(part[at], "{", ";", "=", "(", "class", "object"):
            return None
        at += 1
    on = _outer(part, "on", at)
    body = _outer(part, "{", on)
    if body == len(part):
        return None
    path = part[at].text.split("/") if part[at].kind == "string" else "".join(t.text for t in part[at:on]).split("/")
    listeners = tuple(split(part[on + 1 : body], ","))
    return Service(tuple(filter(None, path)), listeners, tuple(_resources(part[body + 1 :], text)))


def _resources(body: Tokens, text: str) -> Iterator[Resource]:
    outer = [token for token in body if token.depth == 1]
    for index, token in enumerate(outer):
        if not _is(token, "resource"):
            continue
        start = next((i for i in range(index, len(outer) - 1) if _is(outer[i], "function")), index) + 1
        end = next((token.start for token in outer[start:] if _is(token, "(")), 0)
        path = [token for token in body if outer[start].end <= token.start < end]
        signature = " ".join(text[outer[start].start : end].split())
        yield Resource(outer[start].text, tuple(_segments(path)), signature)


def _segments(path: Tokens) -> Iterator[str]:
    for part in split(path, "/"):
        text = "".join(token.text for token in part)
        if _is(part[0], "["):
            yield "[...]" if "..." in text else "[]"
        elif text != ".":
            yield text


def _tests(found: Tokens) -> Iterator[Test]:
    """The functions after `@test:Config`, without those of `enable: false`."""
    for index, token in enumerate(found):
        if token.depth or [t.text for t in found[index : index + 4]] != ["@", "test", ":", "Config"]:
            continue
        start = _outer(found, "function", index)
        settings = "".join(t.text for t in found[index:start] if t.depth == 1)
        if start + 1 < len(found) and "enable:false" not in settings:
            yield Test(found[start + 1].text, _failure(found[start : _outer(found, "function", start + 1)]))


def _failure(function: Tokens) -> str:
    """The reason of a certain failure: `test:assertFail(` in the body, in no branch and after no `return`. Else empty."""
    for index, token in enumerate(function):
        if _is(token, "return"):
            break
        if token.depth == 1 and [t.text for t in function[index : index + 4]] == ["test", ":", "assertFail", "("]:
            said = function[index + 4]
            return said.text if said.kind == "string" else "Test Failed!"
    return ""


def _outer(part: Tokens, text: str, start: int) -> int:
    """The index of a text outside of all brackets, from `start` on; the end of the part without one."""
    return next((i for i in range(start, len(part)) if part[i].depth == 0 and _is(part[i], text)), len(part))


def split(part: Tokens, separator: str) -> Iterator[Tokens]:
    """The parts between separators that are outside of brackets."""
    outer = part[0].depth if part else 0
    for is_separator, group in groupby(part, lambda t: t.depth == outer and _is(t, separator)):
        if not is_separator:
            yield list(group)


def _is(token: Token, *texts: str) -> bool:
    return token.kind in ("word", "sign") and token.text in texts
