"""What the site has from the code: it is made anew by every build, so that no page can be stale.

A line `<!-- made: NAME -->` in a page is replaced by what `MADE[NAME]` returns. Each runbook gets a page of its own, and the pages
that stand elsewhere in the repository (CHANGELOG.md, runbooks/WRITING.md, …) and the README's pictures are taken in.
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

from balbook import cli
from balbook.inventory.load import inventory_schema
from balbook.notebook.parameters import Parameter
from balbook.notebook.runbook import REQUIRED, Runbook, find_runbooks, read_runbook
from balbook.record.events import KINDS, OWN

ROOT = Path(__file__).parents[1]
TAKEN_IN = {
    "writing.md": "runbooks/WRITING.md",
    "contributing.md": "CONTRIBUTING.md",
    "security.md": "SECURITY.md",
    "changelog.md": "CHANGELOG.md",
}
"""Pages of the site that stand elsewhere in the repository."""
PICTURES = ".github/readme"
SOURCE = "https://github.com/balbook/balbook/blob/main"
"""Where links lead that go to no page."""
HELP_COLUMNS = "100"


# What mkdocs calls --------------------------------------------------------------------------------------------------------------


def on_config(config: Any) -> Any:
    """The runbooks' pages stand in the navigation."""
    section = next(entry for entry in config.nav if "Runbooks" in entry)
    section["Runbooks"] = [f"runbooks/{name}.md" for name in find_runbooks()]
    return config


def on_files(files: Files, config: Any) -> Files:
    """The runbooks' pages, the pages from elsewhere and the pictures are files of the site."""
    for name, path in find_runbooks().items():
        files.append(File.generated(config, f"runbooks/{name}.md", content=runbook_page(read_runbook(path))))
    for page, source in TAKEN_IN.items():
        files.append(File.generated(config, page, content=relinked((ROOT / source).read_text(encoding="utf-8"), source)))
    for picture in sorted((ROOT / PICTURES).iterdir()):
        files.append(File.generated(config, f"pictures/{picture.name}", abs_src_path=str(picture)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """What is made from the code takes the place of its marks, and links lead to the site's pages."""
    source = page.file.src_uri
    text = re.sub(r"^<!-- made: (\w+) -->$", lambda found: MADE[found[1]](), markdown, flags=re.MULTILINE)
    return text if source in TAKEN_IN or source.startswith("runbooks/") else relinked(text, f"docs/{source}")


def relinked(text: str, source: str) -> str:
    """Links of a file at `source` in the repository, as the site has them."""
    places = {path: page for page, path in TAKEN_IN.items()}

    def to_page(target: str) -> str:
        path, mark, anchor = target.partition("#")
        whole = os.path.normpath(Path(source).parent / path).replace(os.sep, "/")
        if whole.startswith(f"{PICTURES}/"):
            return f"pictures/{Path(whole).name}"
        page = places.get(whole, whole.removeprefix("docs/") if whole.startswith("docs/") else f"{SOURCE}/{whole}")
        return page + mark + anchor

    local = r"(?!https?:|mailto:|#)"
    text = re.sub(rf"\]\({local}([^)\s]+)\)", lambda found: f"]({to_page(found[1])})", text)
    return re.sub(rf'\b(src|srcset)="{local}([^"]+)"', lambda found: f'{found[1]}="{to_page(found[2])}"', text)


# Runbooks -----------------------------------------------------------------------------------------------------------------------


def runbook_page(runbook: Runbook) -> str:
    """Its title cell, its parameters, how it is called, and its last cell."""
    cells = {cell.role: cell.source for cell in runbook.cells}
    own = [p for p in runbook.parameters if p.name not in REQUIRED]
    needed = "".join(f" -p {p.name}=…" for p in own if p.name == "application")
    return "\n\n".join(
        [
            cells["title"],
            "## Parameters",
            _parameter_table(own) if own else "It has none of its own.",
            "Every runbook also has [`inventory`, `mode`, `reason` and `ticket`](../parameters.md).",
            "## How it is called",
            f"```\nbalbook plan {runbook.name}{needed}\nbalbook apply {runbook.name}{needed} -p reason=…\n```",
            "Or open the notebook in [JupyterLab](../jupyter.md).",
            cells["rollback"],
        ]
    )


def parameters() -> str:
    """The parameters that every runbook has, then those of each."""
    runbooks = [read_runbook(path) for path in find_runbooks().values()]
    common = [p for p in runbooks[0].parameters if p.name in REQUIRED]
    parts = ["## Of every runbook", _parameter_table(common)]
    for runbook in runbooks:
        own = [p for p in runbook.parameters if p.name not in REQUIRED]
        parts += [f"## {runbook.name}", f"[{runbook.title}](runbooks/{runbook.name}.md)", _parameter_table(own) if own else "None."]
    return "\n\n".join(parts)


def _parameter_table(found: Iterable[Parameter]) -> str:
    rows = [(f"`{p.name}`", f"`{p.type}`", f"`{json.dumps(p.default)}`", p.help) for p in found]
    return table(("parameter", "type", "unless given", "meaning"), rows)


# The inventory ------------------------------------------------------------------------------------------------------------------


def inventory() -> str:
    """Every field of the inventory: a section for each model, in the order in which they are met."""
    schema = inventory_schema()
    models = {"Inventory": schema, **schema["$defs"]}
    parts = []
    for name in _in_order("Inventory", models):
        rows = [_field(field, about, name, models) for field, about in models[name]["properties"].items()]
        parts += [f"## {name}", _prose(models[name].get("description", "")), table(("field", "type", "unless given", "meaning"), rows)]
    return "\n\n".join(parts)


def _in_order(name: str, models: Mapping[str, Any], seen: list[str] | None = None) -> list[str]:
    seen = [] if seen is None else seen
    if name not in seen:
        seen.append(name)
        for about in models[name]["properties"].values():
            for inner in re.findall(r"#/\$defs/(\w+)", json.dumps(about)):
                _in_order(inner, models, seen)
    return seen


def _field(name: str, about: Mapping[str, Any], model: str, models: Mapping[str, Any]) -> tuple[str, ...]:
    is_needed = name in models[model].get("required", ())
    default = about.get("default")
    unset = "**needed**" if is_needed else "" if default is None or isinstance(default, dict | list) else f"`{json.dumps(default)}`"
    meaning = about.get("description") or models.get(about.get("$ref", "").rpartition("/")[2], {}).get("description", "")
    return f"`{name}`", type_of(about), unset, _prose(meaning)


def type_of(about: Mapping[str, Any]) -> str:
    """A JSON Schema's type in words; models are links to their sections."""
    if "$ref" in about:
        name = about["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in about:
        return " or ".join(dict.fromkeys(type_of(each) for each in about["anyOf"] if each.get("type") != "null"))
    if "allOf" in about:
        return type_of(about["allOf"][0])
    if "const" in about:
        return f"`{about['const']}`"
    if "enum" in about:
        return ", ".join(f"`{value}`" if value else "empty" for value in about["enum"])
    kind = about.get("type")
    if kind == "array":
        return f"list of {type_of(about.get('items', {}))}"
    if kind == "object":
        values = [*about.get("patternProperties", {}).values(), *filter(None, [about.get("additionalProperties")])]
        return f"mapping to {type_of(values[0])}" if values else "mapping"
    words = {"string": "text", "integer": "whole number", "number": "number", "boolean": "`true` or `false`", "null": "nothing"}
    return words.get(str(kind), "any value") + _bounds(about)


def _bounds(about: Mapping[str, Any]) -> str:
    least, above = about.get("minimum"), about.get("exclusiveMinimum")
    most = about.get("maximum")
    parts = [f"from {least:g}"] if least is not None else [f"above {above:g}"] if above is not None else []
    return f", {' '.join([*parts, *([f'to {most:g}'] if most is not None else [])])}" if parts or most is not None else ""


# Commands -----------------------------------------------------------------------------------------------------------------------


def commands() -> str:
    """`--help` of every command and of its actions."""
    os.environ["COLUMNS"] = HELP_COLUMNS
    parts = []
    for name in cli.COMMANDS:
        for words, parser in _parsers((name,), cli._parser([name])):
            parts += [f"{'#' * (1 + len(words))} {' '.join(words)}", f"```text\n{parser.format_help().rstrip()}\n```"]
    return "\n\n".join(parts)


def _parsers(words: tuple[str, ...], parser: argparse.ArgumentParser) -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    """The parser of the command that these words name, then those of its actions."""
    inner = parser
    for word in words[-1:]:
        inner = _actions(parser)[word]
    yield words, inner
    for action in _actions(inner):
        yield from _parsers((*words, action), inner)


def _actions(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    found = next((a for a in parser._actions if isinstance(a, argparse._SubParsersAction)), None)
    return dict(found.choices) if found else {}


# The journal's events -----------------------------------------------------------------------------------------------------------


def events() -> str:
    """Every kind of event with its meaning and the fields of its own."""
    rows = [
        (f"`{name}`", _prose(inspect.getdoc(kind) or ""), ", ".join(f"`{field.name}`" for field in OWN[name]) or "-")
        for name, kind in KINDS.items()
    ]
    return table(("event", "what it says", "fields"), rows)


# Pages --------------------------------------------------------------------------------------------------------------------------


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A Markdown table; a `|` in a cell does not end it."""
    lines = [head, tuple("---" for _ in head), *(tuple(cell.replace("|", "\\|") for cell in row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _prose(text: str) -> str:
    """A docstring in one line."""
    return " ".join(text.split())


MADE: Mapping[str, Callable[[], str]] = {
    "inventory": inventory,
    "parameters": parameters,
    "commands": commands,
    "events": events,
}
