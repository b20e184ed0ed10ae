"""What the project's own files promise: it declares what it uses, with reasons, and names nobody's package index."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PACKAGE_OF = {"yaml": "pyyaml", "hdrh": "hdrhistogram", "IPython": "ipython", "pydantic_core": "pydantic", "fsspec": "s3fs"}
"""Packages whose modules have another name, or that come with another one."""
RUN_NOT_IMPORTED = {"jupyterlab", "jupyter_app_launcher", "ipywidgets", "ipykernel"}
"""Needed while runbooks run, whether a module of balbook imports them or not."""


def name_of(requirement: str) -> str:
    found = re.fullmatch(r"([A-Za-z0-9_.-]+)(?:\[[a-z,]+\])?>=[0-9.]+", requirement)
    assert found, f"{requirement!r} has no lower bound"
    return found[1].lower()


def imported() -> set[str]:
    """Third-party packages that balbook's modules import, at their top or lazily, by name or through importlib."""
    found = set()
    for path in (ROOT / "balbook").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Import(names=names):
                    found |= {alias.name for alias in names}
                case ast.ImportFrom(module=str(module), level=0):
                    found.add(module)
                case ast.Call(func=ast.Attribute(attr="import_module"), args=[ast.Constant(value=str(module))]):
                    found.add(module)
    tops = {name.partition(".")[0] for name in found} - set(sys.stdlib_module_names) - {"balbook"}
    return {PACKAGE_OF.get(top, top).lower() for top in tops}


def test_what_is_imported_is_declared_and_what_is_declared_is_used() -> None:
    declared = {name_of(text) for text in PROJECT["dependencies"]}
    optional = {name_of(text) for extra in ("s3", "keyring") for text in PROJECT["optional-dependencies"][extra]}
    used = imported()
    assert used - declared - optional == set()
    assert declared - used - RUN_NOT_IMPORTED == set()


def test_every_requirement_has_a_reason() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if re.match(r'\s+"[A-Za-z0-9_.\[\]-]+>=', line)]
    assert len(lines) == len(PROJECT["dependencies"]) + sum(map(len, PROJECT["optional-dependencies"].values()))
    assert [line for line in lines if not re.search(r'",\s+# \S', line)] == []


@pytest.mark.parametrize("word", ["demo", "test", "check", "bench", "crash", "clean"])
def test_the_makefile_has_the_usual_targets(word: str) -> None:
    assert re.search(rf"^{word}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


def test_nobodys_package_index_is_named() -> None:
    for name in ("Makefile", ".ci/install", ".ci/run", "pyproject.toml", "environment.yml"):
        assert not re.search(r"index-url|--index|find-links|https?://(?!github\.com/balbook)", (ROOT / name).read_text(encoding="utf-8"))
