"""The README says what is so: its examples run, its tables are those of the program, its links lead somewhere."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from balbook.cli import COMMANDS
from balbook.inventory import read_inventory
from balbook.lab import loopback, needs
from balbook.local.lab_place import VARIABLE
from balbook.notebook.runbook import find_runbooks, read_runbook
from balbook.run.pipeline import find_pipelines, read_pipeline

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONSOLE = re.findall(r"^```console\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def commands_of(block: str) -> list[tuple[str, list[str]]]:
    """Each command of a console block, with the lines of output that are shown."""
    parts = re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
    return [(part.splitlines()[0], part.splitlines()[1:]) for part in parts]


def misses(shown: list[str], output: str) -> list[str]:
    """Lines that are shown but that the output does not have, in order; `…` stands for anything, runs of spaces for any."""
    said = iter(re.sub(r"  +", "  ", line).rstrip() for line in output.splitlines())
    patterns = {
        line: ".*".join(re.escape(part) for part in re.sub(r"  +", "  ", line).rstrip().split("…")) for line in shown if line != "…"
    }
    return [line for line, pattern in patterns.items() if not any(re.fullmatch(pattern, found) for found in said)]


@pytest.fixture
def environ() -> Iterator[dict[str, str]]:
    """A labs home of this test's own, with the lab taken down in any case."""
    with tempfile.TemporaryDirectory(prefix="balbook-readme-") as home:
        settings = {**os.environ, VARIABLE: home, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        yield settings
        loopback.down(environ=settings)


@pytest.mark.integration
@pytest.mark.skipif(bool(needs.missing()), reason="programs of the lab are missing")
@pytest.mark.parametrize("number", range(len(CONSOLE)))
def test_an_example_does_what_is_shown(number: int, environ: dict[str, str], tmp_path: Path) -> None:
    for command, shown in commands_of(CONSOLE[number]):
        done = subprocess.run(shlex.split(command), cwd=tmp_path, env=environ, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, f"$ {command}\n{done.stderr}"
        assert misses(shown, done.stdout) == [], f"$ {command}\n{done.stdout}"


def test_a_line_that_is_not_said_or_comes_too_early_is_missed() -> None:
    assert misses(["a … c", "d"], "x\na b c\nd\n") == []
    assert misses(["a … c", "d"], "d\na b c\n") == ["d"]
    assert misses(["e"], "d\n") == ["e"]


def test_there_are_examples() -> None:
    assert sum(len(commands_of(block)) for block in CONSOLE) >= 8


def test_the_command_table_is_that_of_the_program() -> None:
    table = re.search(r"^\| command \|.*?\n\n", README, re.MULTILINE | re.DOTALL)
    assert table
    assert re.findall(r"^\| `([a-z-]+)` \| (.*) \|$", table[0], re.MULTILINE) == [(name, about) for name, (_, about) in COMMANDS.items()]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name: str) -> None:
    argv = [sys.executable, "-m", "balbook", name, "--help"]
    shown = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert shown.returncode == 0, shown.stderr
    assert f"example: balbook {name}" in shown.stdout
    assert COMMANDS[name][1] in " ".join(shown.stdout.split())


def test_the_table_of_runbooks_has_every_notebook_with_its_title() -> None:
    table = re.search(r"^\| runbook \|.*?\n\n", README, re.MULTILINE | re.DOTALL)
    assert table
    titles = {name: read_runbook(path).cells[0].source.splitlines()[0].removeprefix("# ") for name, path in find_runbooks().items()}
    assert dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", table[0], re.MULTILINE)) == titles


def test_the_table_of_pipelines_has_their_runbooks_in_order() -> None:
    table = re.search(r"^\| pipeline \|.*?\n\n", README, re.MULTILINE | re.DOTALL)
    assert table
    found = {name: [entry.runbook for entry in read_pipeline(path).entries] for name, path in find_pipelines(Path("/nonexistent")).items()}
    assert {name: words.split(", ") for name, words in re.findall(r"^\| `(\w+)` \| (.*) \|$", table[0], re.MULTILINE)} == found


def test_the_inventory_in_it_loads(tmp_path: Path) -> None:
    block = re.search(r"^```yaml\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    assert block
    (tmp_path / "inventory.yaml").write_text(block[1])
    assert list(read_inventory(tmp_path / "inventory.yaml").applications) == ["hotel"]


def test_every_path_and_picture_that_it_names_is_there() -> None:
    linked = re.findall(r"\]\((?!https?:)([^)]+)\)", README)
    named = re.findall(r"`((?:balbook|runbooks|templates|tests)/[\w./-]*|environment\.yml)`", README)
    assert len(linked) >= 3
    assert len(named) >= 20
    assert [path for path in [*linked, *named] if not (ROOT / path).exists()] == []


def test_every_picture_is_shown_in_both_themes_and_made_by_make_pictures() -> None:
    kept = sorted(path.name for path in (ROOT / ".github" / "readme").iterdir())
    shown = re.findall(r'(media="\(prefers-color-scheme: dark\)" srcset|src)="\.github/readme/([^"]+)"', README)
    made = re.search(r"^PICTURES := (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert made
    assert kept == sorted(name for _, name in shown) == sorted(f"{name}.png" for name in made[1].split())
    for how, name in shown:
        assert name.endswith("-light.png" if how == "src" else "-dark.png")


def test_the_two_commands_are_on_the_first_screen() -> None:
    first = "\n".join(README.splitlines()[:12])
    assert "make demo" in first
    assert "make test" in first
