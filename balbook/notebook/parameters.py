"""A runbook's parameters: declared in its own `parameters` cell, and checked before a kernel starts.

A declaration is one line, `name: type = literal  # help`. It is read with `ast`, never executed. A text stays a text:
`release=1.10` is not the number 1.1, and the short commit `12345e7` is not a float.
"""

from __future__ import annotations

import ast
import io
import json
import keyword
import re
import sys
import tokenize
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from balbook.errors import ParameterError, nearest
from balbook.inventory.document import Document, document_of, text_of
from balbook.secrets.references import looks_like_secret

TYPES = {
    "str": ("text", '"latest"'),
    "int": ("a whole number", "2"),
    "float": ("a number", "1.5"),
    "bool": ("true or false", "true"),
    "list[str]": ("a list of texts", '["app1", "app2"]'),
}
"""For messages: the meaning of a type, and an example."""
FORM = "Write one line for each: `name: type = literal  # help`; types: " + ", ".join(TYPES) + "."
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")  # the last ones: bytes of an argv that are not UTF-8


@dataclass(frozen=True)
class Parameter:
    """One parameter of a runbook. `type` is one of TYPES; `help` may be empty."""

    name: str
    type: str
    default: Any
    help: str = ""


def declared_parameters(source: str) -> tuple[Parameter, ...]:
    """The parameters that a `parameters` cell declares, in its order. Raises ParameterError naming the line."""
    try:
        tree = ast.parse(source)
        comments = _comments(source)
    except (SyntaxError, ValueError, tokenize.TokenError) as exc:
        raise ParameterError(f"the parameters cell is not Python: {exc}", advice=FORM) from exc
    declared: dict[str, Parameter] = {}
    lines = [node.lineno for node in tree.body]
    if twice := [line for line in lines if lines.count(line) > 1]:
        raise ParameterError(f"line {twice[0]} of the parameters cell has several statements", advice=FORM)
    for node in tree.body:
        parameter = _declaration(node, comments.pop(node.lineno, ""))
        if parameter.name in declared:
            raise ParameterError(
                f"line {node.lineno} of the parameters cell declares {parameter.name!r} again", advice="Remove one of the two lines."
            )
        declared[parameter.name] = parameter
    if comments:
        raise ParameterError(f"line {min(comments)} of the parameters cell is a comment alone", advice=FORM)
    return tuple(declared.values())


def check_parameters(declared: Iterable[Parameter], given: Mapping[str, object]) -> dict[str, object]:
    """A value for every declared parameter, in their order: the given one, checked, or the default.

    Unknown names and wrong types are refused; a whole number is taken for a `float`, nothing else is converted.
    """
    known = {parameter.name: parameter for parameter in declared}
    for name in given:
        _require_known(known, name)
    return {name: _checked(parameter, given.get(name, parameter.default)) for name, parameter in known.items()}


def parse_assignments(declared: Iterable[Parameter], assignments: Sequence[str]) -> dict[str, object]:
    """The values of `-p name=value …`, by the declared types: a list is separated by commas, a bool is true or false."""
    known = {parameter.name: parameter for parameter in declared}
    values: dict[str, object] = {}
    for assignment in assignments:
        name, sign, text = assignment.partition("=")
        if not sign:
            raise ParameterError(f"-p {assignment!r} has no value", advice="Write -p name=value.")
        if name in values:
            raise ParameterError(f"-p gives {name!r} twice", advice="Give each parameter once; separate the items of a list by commas.")
        parameter = _require_known(known, name)
        values[name] = _checked(parameter, _parsed(parameter, text))
    return values


def read_parameters_file(path: Path, declared: Iterable[Parameter] = ()) -> dict[str, object]:
    """The names and values of a YAML or JSON file (`-f`). With `declared` they are checked too, and errors name the line."""
    text = text_of(path, ParameterError, advice="Name an existing YAML file with -f.")
    document = _json_document(path, text) or document_of(path, text, ParameterError)
    data = {} if document.data is None else document.data
    if not isinstance(data, dict):
        raise ParameterError(f"{path}:1: found no mapping", advice="Write lines such as `application: hotel`.")
    if document.problems:
        raise ParameterError(document.report(document.problems), advice="Correct these lines and try again.")
    known = {parameter.name: parameter for parameter in declared}
    for name, value in data.items() if known else ():
        try:
            data[name] = _checked(_require_known(known, name), value, written=document.written.get((name,), ""))
        except ParameterError as exc:
            raise ParameterError(f"{path}:{document.line_of((name,))}: {exc.message}", advice=exc.advice) from exc
    return data


def _json_document(path: Path, text: str) -> Document | None:
    """The document of a JSON object, else None: YAML cannot read characters that JSON writes as two escapes, such as emoji."""

    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        if len(found := dict(pairs)) < len(pairs):
            raise ValueError("a name comes twice")  # YAML's reader says which, and where
        return found

    if not text.startswith("{"):
        return None
    try:
        return Document(path, json.loads(text, object_pairs_hook=once))
    except (ValueError, RecursionError):
        return None  # a mapping of YAML may begin with a brace too


def _comments(source: str) -> dict[int, str]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {token.start[0]: token.string.lstrip("# ").rstrip() for token in tokens if token.type == tokenize.COMMENT}


def _declaration(node: ast.stmt, comment: str) -> Parameter:
    at = f"line {node.lineno} of the parameters cell"
    match node:
        case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation, value=ast.expr() as value) if node.lineno == node.end_lineno:
            type_ = ast.unparse(annotation)
        case _:
            raise ParameterError(f"{at} is not a declaration of a parameter", advice=FORM)
    if type_ not in TYPES:
        raise ParameterError(f"{at}: {name!r} has the type {type_}", advice=FORM)
    _require_usable(name, at)
    try:
        default = ast.literal_eval(value)
    except ValueError as exc:
        raise ParameterError(f"{at}: the default of {name!r} is not a literal", advice=FORM) from exc
    return Parameter(name, type_, _checked(Parameter(name, type_, None), default), comment)


def _require_usable(name: str, at: str) -> None:
    if name.startswith("_") or keyword.issoftkeyword(name) or not name.isascii():
        raise ParameterError(f"{at}: {name!r} cannot name a parameter", advice="Use lower-case letters, digits and _.")
    if looks_like_secret(name) or name.split("_")[-1] in ("key", "keys"):
        raise ParameterError(
            f"{at}: {name!r} looks like a secret, and parameters are kept in clear in every record",
            advice="Put a reference such as env:NAME or file:PATH into the inventory instead.",
        )


def _require_known(known: Mapping[str, Parameter], name: str) -> Parameter:
    if name not in known:
        raise ParameterError(f"this runbook has no parameter {name!r}", advice=nearest(str(name), known))
    return known[name]


def _checked(parameter: Parameter, value: object, *, written: str = "") -> object:
    """The value, where it has exactly the declared type."""
    name, kind = parameter.name, parameter.type
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    match value:
        case str() if kind == "str":
            return _without_control(name, value)
        case list() | tuple() if kind == "list[str]" and all(isinstance(item, str) for item in value):
            return [_without_control(name, item) for item in value]
        case bool() if kind == "bool":
            return value
        case int() if kind == "int" and is_number:
            return value
        case int() | float() if kind == "float" and is_number and abs(value) <= sys.float_info.max:  # no infinity, not `nan`
            return float(value)
    spoken, example = TYPES[kind]
    found = written or repr(value)
    is_text = kind in ("str", "list[str]")
    raise ParameterError(
        f"the parameter {name!r} must be {spoken} ({kind}); found {found}, {_spoken(value)}",
        advice=f'In YAML write text in quotes, "{found}".' if is_text and is_number else f"Give a value such as {example}.",
    )


def _spoken(value: object) -> str:
    kinds = {bool: "a truth value", int: "a whole number", float: "a number", str: "text", list: "a list", type(None): "nothing"}
    return kinds.get(type(value), type(value).__name__)


def _without_control(name: str, text: str) -> str:
    if found := CONTROL.search(text):
        raise ParameterError(
            f"the parameter {name!r} contains the control character {found.group()!r} at position {found.start() + 1}",
            advice="Write the value on one line, without tabs.",
        )
    return text


def _parsed(parameter: Parameter, text: str) -> object:
    """The value of a word of the command line; the word itself where it is not of the type."""
    match parameter.type:
        case "int" if re.fullmatch(r"[+-]?[0-9]{1,18}", text):
            return int(text)
        case "float" if re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", text):
            return float(text)
        case "bool" if text.lower() in ("true", "false"):
            return text.lower() == "true"
        case "list[str]":
            items = [item.strip() for item in text.split(",")] if text.strip() else []
            if "" in items:
                raise ParameterError(f"the list {parameter.name!r} has an empty item in {text!r}", advice="Write -p name=one,two.")
            return items
    return text
