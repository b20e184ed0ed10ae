"""No value gets into HTML unescaped, and no template is made of values."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import balbook
from balbook.show.markup import Markup, joined, markup

ROOT = Path(balbook.__file__).parent
TRUSTED = {"show/markup.py", "show/table.py", "jupyter/forms/style.py", "jupyter/forms/panels.py"}
"""Where text is declared to be markup: style sheets, and `inline`, which escapes first."""
SOURCES = [path for path in ROOT.rglob("*.py") if "balbook.show.markup import" in path.read_text(encoding="utf-8")]


def test_values_are_escaped_and_markup_is_not() -> None:
    bold = markup("<b>{}</b>", "<'&\">")
    assert bold == "<b>&lt;&#39;&amp;&#34;&gt;</b>"
    assert markup("<p class='{css}'>{}{:.1f}</p>", bold, 0.25, css="a'b") == f"<p class='a&#39;b'>{bold}0.2</p>"
    assert joined([bold, "<"], "\n") == f"{bold}\n&lt;"
    assert "<" + bold + "<" == f"&lt;{bold}&lt;"


def calls(path: Path, name: str) -> Iterator[ast.Call]:
    return (
        node
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name
    )


def is_literal(node: ast.expr, path: Path) -> bool:
    """A literal, or a name that only ever stands for literals."""
    if isinstance(node, ast.IfExp):
        return is_literal(node.body, path) and is_literal(node.orelse, path)
    if not isinstance(node, ast.Name):
        return isinstance(node, ast.Constant)
    text = path.read_text(encoding="utf-8")
    return len(re.findall(rf"\b{node.id}\b.* = ", text)) == len(re.findall(rf"\b{node.id}\b.* = \"", text)) == 1


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_a_template_is_a_literal(path: Path) -> None:
    faults = [call.lineno for call in calls(path, "markup") if not is_literal(call.args[0], path)]
    assert path.relative_to(ROOT).as_posix() == "show/markup.py" or faults == []


def test_only_these_files_declare_text_to_be_markup() -> None:
    declaring = {path.relative_to(ROOT).as_posix() for path in SOURCES if any(call.args for call in calls(path, "Markup"))}
    assert declaring <= TRUSTED
    assert isinstance(markup(""), Markup)
