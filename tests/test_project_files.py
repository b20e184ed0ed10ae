"""What the project's own files promise: it declares what it uses, with reasons, and names nobody's package index."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import balbook
from balbook.schedule.github import PINS

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
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


@pytest.mark.parametrize("word", ["demo", "test", "check", "bench", "crash", "nightly", "docs", "clean"])
def test_the_makefile_has_the_usual_targets(word: str) -> None:
    assert word in TARGETS


def test_every_target_that_a_page_names_is_one() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / ".github").glob("*.md"), ROOT / "mkdocs.yml"]
    named = {word for page in pages for word in re.findall(r"(?:`|^    )make ([a-z]+)", page.read_text(encoding="utf-8"), re.MULTILINE)}
    assert {"demo", "check", "test", "nightly", "docs"} <= named <= TARGETS


def test_the_version_stands_in_one_place() -> None:
    assert "version" not in PROJECT
    assert PROJECT["dynamic"] == ["version"]
    source = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["version"]["path"]
    found = re.findall(r'^__version__ = "(\d+\.\d+\.\d+)"$', (ROOT / source).read_text(encoding="utf-8"), re.MULTILINE)
    assert found == [balbook.__version__]
    assert f"\n## {found[0]}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_continuous_integration_runs_everything_with_the_actions_that_balbook_pins() -> None:
    text = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    assert "run: .ci/run\n" in text
    used = dict(re.findall(r"uses: ([\w/-]+)@(\S+)", text))
    assert used == {name: PINS[name].ref for name in used}
    argv = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", ".github/workflows/ci.yml"]
    checked = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("path", sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")), ids=lambda path: path.stem)
def test_a_form_for_issues_asks_for_what_a_reader_needs(path: Path) -> None:
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    if path.stem == "config":
        assert form["contact_links"][0]["url"].endswith("/security/advisories/new")
    else:
        assert {"name", "description", "body"} <= set(form)
        assert all(field["type"] == "textarea" and field["attributes"]["label"] for field in form["body"])


def test_nobodys_package_index_is_named() -> None:
    for name in ("Makefile", ".ci/install", ".ci/run", ".github/workflows/ci.yml", "pyproject.toml", "environment.yml", "mkdocs.yml"):
        assert not re.search(r"index-url|--index|find-links|https?://(?!github\.com/balbook)", (ROOT / name).read_text(encoding="utf-8"))
