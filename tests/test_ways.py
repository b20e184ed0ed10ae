"""Each way that `docs/architecture.md` shows for a change is gone: in a copy of the project, as it stands there, and what it says runs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
WAYS = {
    title: re.findall(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```', body, re.MULTILINE | re.DOTALL)
    for title, body in re.findall(r"^### (A new .*?)\n(.*?)(?=^### )", PAGE, re.MULTILINE | re.DOTALL)
}
MOST_LINES = 30
"""That a way may add: each is to be tried by a change of some ten lines."""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy that can be changed."""
    for name in ("balbook", "runbooks", "templates", "tests/facts", "tests/data/facts"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def patched(text: str, diff: str) -> str:
    """The text with the lines of a diff taken out and put in; the lines that it shows must stand there once, one after the other."""
    lines = diff.splitlines()
    before = "".join(f"{line[1:]}\n" for line in lines if not line.startswith("+"))
    after = "".join(f"{line[1:]}\n" for line in lines if not line.startswith("-"))
    assert text.count(before) == 1, f"{text.count(before)} places for\n{before}"
    return text.replace(before, after)


def change(project: Path, diff: str) -> None:
    """Parts that begin with `+++ PATH`; in a part each run of lines that stand together is one place."""
    for path, part in re.findall(r"^\+\+\+ (.*)\n((?:(?!\+\+\+ ).*\n)*)", diff, re.MULTILINE):
        file = project / path
        for place in re.findall(r"(?:^[ +].*\n)+(?=-)|(?:^-.*\n)(?:^\+.*\n)*|(?:^[ +].*\n)+", part, re.MULTILINE):
            file.write_text(patched(file.read_text(encoding="utf-8"), place), encoding="utf-8")


def run(project: Path, commands: str) -> None:
    environ = {**os.environ, "PYTHONPATH": str(project), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(["sh", "-e", "-c", commands], cwd=project, env=environ, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, f"{commands}\n{done.stdout}\n{done.stderr}"


@pytest.mark.integration  # each copies the project and runs what the page says: too dear for `make check`
@pytest.mark.parametrize("way", WAYS)
def test_a_way_is_as_the_page_shows_it(way: str, project: Path) -> None:
    added = 0
    for kind, path, text in WAYS[way]:
        if kind == "sh":
            run(project, text)
        elif kind == "diff":
            change(project, text)
            added += len(re.findall(r"^\+(?!\+\+)", text, re.MULTILINE))
        else:
            (project / path).write_text(text, encoding="utf-8")
            added += len(text.splitlines())
    assert added <= MOST_LINES
    run(project, "python -c 'import balbook, sys; sys.exit(not balbook.__file__.startswith(sys.argv[1]))' " + str(project))


def test_there_is_a_way_for_a_fact_a_balancer_a_runbook_and_a_field() -> None:
    assert [title.removeprefix("A new ").split()[0] for title in WAYS] == ["fact", "balancer", "runbook", "field"]
    assert all(blocks[-1][0] == "sh" for blocks in WAYS.values())
