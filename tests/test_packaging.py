"""conda's `environment.yml` and pip's `pyproject.toml` say the same."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
NAMES_IN_CONDA = {"matplotlib": "matplotlib-base"}
PROGRAMS = {"nginx", "openjdk", "openssh"}
"""What pip cannot bring, and the lab needs."""


def bounds(lines: list[str]) -> dict[str, str]:
    """Package to lower bound, names as conda has them."""
    found = {}
    for line in lines:
        name, bound = re.fullmatch(r"([A-Za-z0-9._-]+)(?:\[.*\])?\s*(.*)", line).groups()  # type: ignore[union-attr]
        found[name.lower()] = bound.replace(" ", "")
    return found


def conda() -> dict[str, str]:
    data = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert data["channels"] == ["conda-forge"]
    lines = [line for line in data["dependencies"] if isinstance(line, str)]
    from_pip = [line for group in data["dependencies"] if isinstance(group, dict) for line in group["pip"]]
    return bounds(lines + from_pip)


def test_conda_has_every_dependency_with_the_same_lower_bound() -> None:
    wanted = {NAMES_IN_CONDA.get(name, name): bound for name, bound in bounds(PROJECT["dependencies"]).items()}
    found = conda()
    assert {name: found.get(name) for name in wanted} == wanted


def test_conda_has_the_programs_that_pip_cannot_bring() -> None:
    assert PROGRAMS - set(conda()) == set()


def test_conda_has_the_python_that_the_project_asks_for() -> None:
    assert conda()["python"].startswith(PROJECT["requires-python"])


def test_every_dependency_has_a_lower_bound() -> None:
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    assert [name for group in groups for name, bound in bounds(group).items() if not bound.startswith(">=")] == []
