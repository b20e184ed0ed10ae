"""Every text of balbook's that a person reads, with its place: `python -m tests.messages` prints them, to be read through.

Texts of errors and their advice, of what is said and printed, titles of steps, preconditions and checks, help of commands, first
lines of docstrings, and the Markdown of runbooks. A value in a text stands as `{}`.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import balbook

ROOT = Path(balbook.__file__).parents[1]


@dataclass(frozen=True)
class Message:
    """One text: `kind` is `text`, `docstring` or `notebook`."""

    place: str
    kind: str
    text: str


def messages() -> Iterator[Message]:
    """All of them, by file and line."""
    for path in sorted((ROOT / "balbook").rglob("*.py")):
        if "_data" in path.parts:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        name = path.relative_to(ROOT).as_posix()
        yield from _docstrings(tree, name)
        yield from (Message(f"{name}:{node.lineno}", "text", text) for node, text in _texts(tree))
    for path in sorted((ROOT / "runbooks").glob("*.ipynb")):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            source = "".join(cell["source"])
            lines = source.splitlines() if cell["cell_type"] == "markdown" else [line for line in source.splitlines() if "#" in line]
            yield from (Message(f"runbooks/{path.name}", "notebook", line) for line in lines if line.strip())


def _docstrings(tree: ast.Module, name: str) -> Iterator[Message]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and (said := ast.get_docstring(node)):
            yield Message(f"{name}:{getattr(node, 'lineno', 1)}", "docstring", said.splitlines()[0])


def _texts(tree: ast.Module) -> Iterator[tuple[ast.expr, str]]:
    """Strings of more than one word, where they are no docstring, no name and no template of code."""
    skipped = {id(node.body[0].value) for node in ast.walk(tree) if _has_docstring(node)}
    inner: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            inner |= {id(part) for part in ast.walk(node)} - {id(node)}
    for node in ast.walk(tree):
        if id(node) in skipped or id(node) in inner or not isinstance(node, ast.JoinedStr | ast.Constant):
            continue
        text = _text(node)
        if " " in text.strip() and any(c.isalpha() for c in text):
            yield node, text


def _has_docstring(node: ast.AST) -> bool:
    body = getattr(node, "body", None)
    return isinstance(body, list) and bool(body) and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)


def _text(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    assert isinstance(node, ast.JoinedStr)
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)


if __name__ == "__main__":
    for message in messages():
        print(f"{message.place}  [{message.kind}]  {' '.join(message.text.split())}")
