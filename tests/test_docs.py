"""The pages say what is so: their examples run, their tables are those of the program, what they quote and link to exists."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import shlex
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from balbook.cli import COMMANDS
from balbook.inventory import read_inventory
from balbook.lab import loopback, needs
from balbook.local.lab_place import VARIABLE
from balbook.notebook.runbook import find_runbooks, read_runbook
from balbook.record.events import KINDS
from balbook.record.verify import TITLES
from balbook.run.pipeline import find_pipelines, read_pipeline
from tests.test_architecture import EVERYWHERE, ROWS

ROOT = Path(__file__).parents[1]
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in [*ROOT.glob("*.md"), *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / ".github").glob("*.md"))]
}
CONSOLE = [(page, block) for page, text in PAGES.items() for block in re.findall(r"^```console\n(.*?)^```", text, re.MULTILINE | re.DOTALL)]
NOTHING_RUNS = frozenset({"CHANGELOG.md"})
SHORTEST = 12
"""Letters of a quoted message that must stand in the code for it to be found there."""


def table(page: str, head: str) -> str:
    found = re.search(rf"^\| {head} \|.*?\n(?:\n|\Z)", PAGES[page], re.MULTILINE | re.DOTALL)
    assert found, f"{page} has no table {head!r}"
    return found[0]


# Examples -----------------------------------------------------------------------------------------------------------------------


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
    with tempfile.TemporaryDirectory(prefix="balbook-docs-") as home:
        settings = {**os.environ, VARIABLE: home, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        yield settings
        loopback.down(environ=settings)


@pytest.fixture
def on_a_jars_lab(environ: dict[str, str], tmp_path: Path) -> None:
    """What the page on jars begins with: its program is written down, and its part of an inventory stands in a lab's."""
    page = PAGES["docs/jar.md"]
    program = re.search(r"^```java\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    part = re.search(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert program
    assert part
    (tmp_path / "Shop.java").write_text(program[1])
    data: Any = yaml.safe_load(loopback.up(environ=environ).inventory.read_text())
    shop = yaml.safe_load(part[1])["applications"]["shop"]
    for instance in shop["instances"]:
        with socket.create_server(("127.0.0.1", 0)) as free:
            instance["port"] = free.getsockname()[1]
    # As in an inventory of one's own: this folder's, with nothing that stands in for what is not given.
    data["applications"]["shop"], data["defaults"] = shop, {}
    data["central"] = {}
    (tmp_path / "inventory.yaml").write_text(yaml.safe_dump(data))


@pytest.mark.integration
@pytest.mark.skipif(bool(needs.missing()), reason="programs of the lab are missing")
@pytest.mark.parametrize("number", range(len(CONSOLE)), ids=[f"{page}-{n}" for n, (page, _) in enumerate(CONSOLE)])
def test_an_example_does_what_is_shown(number: int, environ: dict[str, str], tmp_path: Path, request: pytest.FixtureRequest) -> None:
    page, block = CONSOLE[number]
    if page == "docs/jar.md":
        request.getfixturevalue("on_a_jars_lab")
    for command, shown in commands_of(block):
        done = subprocess.run(shlex.split(command), cwd=tmp_path, env=environ, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, f"$ {command}\n{done.stdout}\n{done.stderr}"
        assert misses(shown, done.stdout) == [], f"$ {command}\n{done.stdout}"


def test_a_line_that_is_not_said_or_comes_too_early_is_missed() -> None:
    assert misses(["a … c", "d"], "x\na b c\nd\n") == []
    assert misses(["a … c", "d"], "d\na b c\n") == ["d"]
    assert misses(["e"], "d\n") == ["e"]


def test_there_are_examples() -> None:
    assert sum(len(commands_of(block)) for _, block in CONSOLE) >= 20


def test_the_least_inventory_loads(tmp_path: Path) -> None:
    block = re.search(r"^```yaml\n(.*?)^```", PAGES["docs/machines.md"], re.MULTILINE | re.DOTALL)
    assert block
    (tmp_path / "inventory.yaml").write_text(block[1])
    assert list(read_inventory(tmp_path / "inventory.yaml").applications) == ["hotel"]


@pytest.mark.parametrize("page", sorted(set(PAGES) - NOTHING_RUNS))
def test_every_command_that_a_page_names_is_one(page: str) -> None:
    text = PAGES[page]
    blocks = "".join(re.findall(r"^```(?:console|sh)?\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    named = re.findall(r"^(?:\$ )?balbook ([a-z][a-z-]*)", blocks, re.MULTILINE)
    named += re.findall(r"(?:`|^    )balbook ([a-z][a-z-]*)", text, re.MULTILINE)
    assert sorted(set(named) - set(COMMANDS)) == []


# Tables -------------------------------------------------------------------------------------------------------------------------


def test_the_command_table_is_that_of_the_program() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| (.*) \|$", table("docs/commands.md", "command"), re.MULTILINE)
    assert rows == list(COMMANDS.items())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name: str) -> None:
    argv = [sys.executable, "-m", "balbook", name, "--help"]
    shown = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert shown.returncode == 0, shown.stderr
    assert f"example: balbook {name}" in shown.stdout
    assert COMMANDS[name] in " ".join(shown.stdout.split())


def test_the_table_of_runbooks_has_every_notebook_with_its_title() -> None:
    titles = {name: read_runbook(path).title for name, path in find_runbooks().items()}
    assert dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", table("docs/runbooks.md", "runbook"), re.MULTILINE)) == titles


def test_the_table_of_pipelines_has_their_runbooks_in_order() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", table("docs/runbooks.md", "pipeline"), re.MULTILINE)
    found = {name: [entry.runbook for entry in read_pipeline(path).entries] for name, path in find_pipelines(Path("/nonexistent")).items()}
    assert {name: words.split(", ") for name, words in rows} == found


def test_the_rooms_are_those_that_the_imports_are_held_to() -> None:
    rows = [re.findall(r"`(\w+)`", row) for row in re.findall(r"^\| \d+ \| ([^|]*) \|", PAGES["docs/architecture.md"], re.MULTILINE)]
    assert rows == [row.split() for row in ROWS]
    after = PAGES["docs/architecture.md"].partition("| 11 |")[2].partition("##")[0]
    assert [room for room in EVERYWHERE if not room.startswith("_") and f"`{room}`" not in after] == []


def test_the_checks_of_records_have_their_numbers_and_titles() -> None:
    rows = re.findall(r"^\| (\d) \| (\w+) \|", table("docs/records.md", "number"), re.MULTILINE)
    assert rows == [(str(number), title) for number, title in enumerate(TITLES, 1)]


# Links, paths, messages -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES)
def test_every_path_that_a_page_names_is_there(page: str) -> None:
    linked = re.findall(r"\]\((?!https?:|#)([^)#]+)[^)]*\)|(?:src|srcset)=\"([^\"]+)\"", PAGES[page])
    named = re.findall(r"`((?:balbook|runbooks|templates|tests|docs)/[\w./-]+|environment\.yml)`", PAGES[page])
    made_here = set(re.findall(r'title="([^"]+)"', PAGES[page]))
    missing = [a or b for a, b in linked if not ((ROOT / page).parent / (a or b)).exists()]
    missing += [path for path in named if path not in made_here and "NAME" not in path and not (ROOT / path).exists()]
    assert missing == []


def texts_of(tree: ast.Module) -> Iterator[str]:
    """Every text of a module, `…` where a value is filled in; texts that are joined with `+` or `or` stand one by one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(value.value) if isinstance(value, ast.Constant) else "…" for value in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def texts_of_the_code() -> str:
    texts = [text for path in (ROOT / "balbook").rglob("*.py") for text in texts_of(ast.parse(path.read_text(encoding="utf-8")))]
    scripts = [path.read_text(encoding="utf-8") for path in (ROOT / "balbook" / "commands" / "scripts").glob("*.sh")]
    shown = [re.sub(r"\$\{?\w+\}?", "…", text) for text in scripts]
    return "\n".join([*texts, *shown])


MESSAGES = re.findall(r"^### `(.+)`$", PAGES["docs/troubleshooting.md"], re.MULTILINE)


@pytest.fixture(scope="module")
def code() -> str:
    return texts_of_the_code()


@pytest.mark.parametrize("message", MESSAGES)
def test_a_quoted_message_is_one_of_the_code(message: str, code: str) -> None:
    assert len(message.replace("…", "")) >= SHORTEST
    assert message in code


def test_there_are_messages_enough() -> None:
    assert len(MESSAGES) >= 25


# The site -----------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hooks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_hooks", ROOT / "docs" / "hooks.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole of it, built strictly."""
    folder = tmp_path_factory.mktemp("site")
    argv = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    built = subprocess.run(argv, cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    assert "WARNING" not in built.stderr
    return folder


@pytest.mark.integration  # the site is built once for all of these
def test_the_site_has_a_page_for_each_runbook_with_every_parameter(site: Path) -> None:
    for name, path in find_runbooks().items():
        page = (site / "runbooks" / f"{name}.html").read_text(encoding="utf-8")
        assert [p.name for p in read_runbook(path).parameters if f"<code>{p.name}</code>" not in page] == []


@pytest.mark.integration  # the site is built once for all of these
def test_the_sites_inventory_has_every_field_with_a_meaning(site: Path, hooks: ModuleType) -> None:
    page = (site / "inventory.html").read_text(encoding="utf-8")
    schema = hooks.inventory_schema()
    models = [schema, *schema["$defs"].values()]
    assert [field for model in models for field in model["properties"] if f"<code>{field}</code>" not in page] == []
    rows = [line for line in hooks.inventory().splitlines() if line.startswith("| `")]
    assert [row for row in rows if row.endswith("|  |") or " any value" in row] == []


@pytest.mark.integration  # the site is built once for all of these
def test_the_sites_commands_are_all_there_with_their_actions(site: Path) -> None:
    page = (site / "commands.html").read_text(encoding="utf-8")
    assert [name for name in COMMANDS if f"usage: balbook {name}" not in page] == []
    assert "usage: balbook records verify" in page


@pytest.mark.integration  # the site is built once for all of these
def test_the_site_has_every_kind_of_event_with_what_it_says(site: Path, hooks: ModuleType) -> None:
    page = (site / "architecture.html").read_text(encoding="utf-8")
    assert [kind for kind in KINDS if f"<code>{kind}</code>" not in page] == []
    assert "|  |" not in hooks.events()


@pytest.mark.integration  # the site is built once for all of these
def test_the_site_needs_nothing_from_elsewhere(site: Path) -> None:
    loaded = r"""<(?:script|img|iframe|source)\b[^>]*\b(?:src|srcset)=["']?(?:https?:|//)"""
    linked = r"""<link\b[^>]*rel=["']?(?:stylesheet|preconnect)[^>]*https?:"""
    assert [page.name for page in site.rglob("*.html") if re.search(f"{loaded}|{linked}", page.read_text(encoding="utf-8"))] == []


def test_links_lead_from_the_repositorys_places_to_the_sites_pages(hooks: ModuleType) -> None:
    text = '[a](../runbooks/WRITING.md#x) [b](try.md) [c](https://example.org) [d](../LICENSE) <img src="../.github/readme/a.png">'
    assert hooks.relinked(text, "docs/index.md") == (
        "[a](writing.md#x) [b](try.md) [c](https://example.org) [d](https://github.com/balbook/balbook/blob/main/LICENSE)"
        ' <img src="pictures/a.png">'
    )
    assert hooks.relinked("[e](docs/records.md)", "SECURITY.md") == "[e](records.md)"
