"""The public names: `balbook` for runbooks, `balbook.authoring` for procedures; each from where it is imported, explained, typed."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import balbook
from balbook import authoring
from balbook.local.resources import resource

PUBLIC = [(module, name) for module in (balbook, authoring) for name in module.__all__]
PROCEDURE = resource("templates", "runbook", "my_runbook.py").read_text(encoding="utf-8")
PAGE = resource("runbooks", "WRITING.md").read_text(encoding="utf-8")


def imports(text: str) -> dict[str, str]:
    """Each name that is imported from balbook, wherever in the text, with the module that has it."""
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import | ast.ImportFrom)]
    of = {alias.name: node.module or "" for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names}
    of |= {alias.name: alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return {name: module for name, module in of.items() if module.split(".")[0] == "balbook"}


def of_module(module: ModuleType) -> dict[str, str]:
    return imports(Path(str(module.__file__)).read_text(encoding="utf-8"))


@pytest.mark.parametrize("module", [balbook, authoring], ids=["balbook", "authoring"])
def test_the_public_names_are_those_that_are_imported_for_readers_of_types(module: ModuleType) -> None:
    assert module.__all__ == sorted(of_module(module))


def test_the_names_that_load_lazily_come_from_where_readers_of_types_see_them() -> None:
    assert of_module(balbook) == balbook._HOME


@pytest.mark.parametrize(("module", "name"), PUBLIC, ids=[f"{module.__name__}.{name}" for module, name in PUBLIC])
def test_a_public_name_loads_and_is_explained(module: ModuleType, name: str) -> None:
    doc = getattr(module, name).__doc__
    assert doc
    assert not doc.startswith(f"{name}("), "it has the text that a dataclass makes of its fields"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'opne_run'"):
        balbook.opne_run  # type: ignore[attr-defined]  # noqa: B018


def test_importing_balbook_loads_nothing_else() -> None:
    code = "import sys, balbook; print(sorted(m for m in sys.modules if m.startswith('balbook.')))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize("text", [PROCEDURE, *re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)])
def test_the_template_and_the_page_on_writing_import_nothing_but_the_public_face(text: str) -> None:
    assert set(imports(text).values()) <= {"balbook", "balbook.authoring"}


def test_the_types_go_along_with_the_package() -> None:
    assert Path(balbook.__file__).with_name("py.typed").is_file()
