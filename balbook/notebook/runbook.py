"""A runbook's file, and the rules of its anatomy.

Executes nothing. `check_runbook` tells a runbook's faults; the rules are few, so that
every runbook reads the same, and an engineer at night knows where to look.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from keyword import iskeyword
from pathlib import Path
from typing import Any

from balbook.errors import BadInput, ParameterError, nearest
from balbook.local.digests import sha256_of
from balbook.local.resources import resource
from balbook.notebook.notebook_file import parse_notebook, read_bytes
from balbook.notebook.parameters import Parameter, declared_parameters

ROLES = ("title", "parameters", "setup", "preflight", "plan", "apply", "verify", "evidence", "conclude", "rollback")
MARKDOWN_ROLES = ("title", "rollback")
REPEATABLE = ("preflight", "verify", "evidence")
OPENING = ("balbook.open_run", "open_run")
REQUIRED = ("inventory", "mode", "reason", "ticket")
TOLD = ("purpose", "when", "blast radius", "duration", "precondition", "undo")
MOST_LINES = 14
FORBIDDEN = {"FunctionDef": "def", "AsyncFunctionDef": "def", "ClassDef": "class", "For": "for", "AsyncFor": "for", "While": "while"}


@dataclass(frozen=True)
class Cell:
    """One cell. `id` and `role` are empty where the file has none; `type` is `code` or `markdown`."""

    index: int
    id: str
    type: str
    source: str
    tags: tuple[str, ...] = ()
    has_outputs: bool = False

    @property
    def roles(self) -> tuple[str, ...]:
        return tuple(tag for tag in self.tags if tag in ROLES)

    @property
    def role(self) -> str:
        """The role that its tag gives it."""
        return self.roles[0] if self.roles else ""

    @property
    def label(self) -> str:
        """The cell's name in messages: `cell 3 (setup)`."""
        return f"cell {self.index + 1} ({self.role or self.type})"


@dataclass(frozen=True)
class Runbook:
    """A runbook's file: `sha256` (hex) is of its bytes, `name` its file name without the ending."""

    path: Path
    name: str
    sha256: str
    cells: tuple[Cell, ...]

    def first(self, role: str) -> Cell | None:
        """The first cell with this role."""
        return next((cell for cell in self.cells if cell.role == role), None)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The parameters that its parameters cell declares. Raises ParameterError where the cell is missing or has other code."""
        cell = self.first("parameters")
        if cell is None or cell.type != "code":
            raise ParameterError(f"{self.path} has no code cell with the tag `parameters`", advice="Give the first code cell this tag.")
        return declared_parameters(cell.source)

    @property
    def procedure(self) -> str:
        """The runbook that its setup cell opens, whose procedure it follows; else, without a plain name there, its own name."""
        calls = _calls_in(setup.source, *OPENING) if (setup := self.first("setup")) else []
        return next((str(name.value) for call in calls for name in call.args if isinstance(name, ast.Constant)), self.name)

    @property
    def title(self) -> str:
        """The heading of the title cell, else the name."""
        heading = re.search(r"^#\s+(.+)$", self.cells[0].source, re.MULTILINE) if self.cells else None
        return heading.group(1).strip() if heading else self.name


def find_runbooks(folder: Path | None = None) -> dict[str, Path]:
    """The runbooks of balbook (or of `folder`), by name."""
    return {path.stem: path for path in sorted((folder or resource("runbooks")).glob("*.ipynb"))}


def runbook_path(name: str, folder: Path | None = None) -> Path:
    """The file of the runbook with this name; a path to an `.ipynb` is taken as the file.

    Any name but balbook's (or `folder`'s) is a user's own runbook, `NAME.ipynb` in the current folder.
    """
    if name.endswith(".ipynb"):
        if not (path := Path(name).expanduser()).is_file():
            raise BadInput(f"{name} is not a file", advice="Name a runbook, or a path to an existing .ipynb.")
        return path
    known = find_runbooks(folder)
    if name in known:
        return known[name]
    here = Path.cwd() / f"{name}.ipynb"
    if is_own_name(name) and here.is_file():
        return here
    near = nearest(name, known)
    own = "" if near.startswith("Did you mean") else " Call balbook from the folder of your own runbook, or name its path."
    raise BadInput(f"there is no runbook {name!r}", advice=near + own)


def cell_digest(source: str) -> str:
    """sha256 (hex) of a cell's source, without white space at its end: front ends and editors differ there."""
    return sha256_of(source.rstrip())


def is_own_name(name: str) -> bool:
    """True where a user's own runbook can have this name, which is the name of a Python module too."""
    return bool(re.fullmatch(r"[a-z][a-z0-9_]{0,63}", name)) and not iskeyword(name)


def read_runbook(path: Path) -> Runbook:
    """The runbook in this file. Raises BadInput where it is not a notebook."""
    content = read_bytes(path)
    return Runbook(
        path=path,
        name=path.stem,
        sha256=sha256_of(content),
        cells=tuple(_cell(index, cell) for index, cell in enumerate(parse_notebook(path, content)["cells"])),
    )


def check_runbook(runbook: Runbook) -> list[str]:
    """The runbook's faults, one sentence each; empty where it keeps to the anatomy."""
    return [
        *_ids(runbook),
        *_roles(runbook),
        *_title(runbook),
        *_parameters(runbook),
        *(problem for cell in runbook.cells if cell.type == "code" for problem in _code(cell)),
        *_calls(runbook),
    ]


def _cell(index: int, data: Mapping[str, Any]) -> Cell:
    source = data.get("source", "")
    return Cell(
        index=index,
        id=str(data.get("id", "")),
        type=str(data.get("cell_type", "")),
        source="".join(source),
        tags=tuple(data.get("metadata", {}).get("tags", ())),
        has_outputs=bool(data.get("outputs")) or data.get("execution_count") is not None,
    )


def _ids(runbook: Runbook) -> Iterator[str]:
    seen: dict[str, Cell] = {}
    for cell in runbook.cells:
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", cell.id):
            yield f"{cell.label} has no valid id; give the cell an id that stays, such as its role"
        elif (first := seen.setdefault(cell.id, cell)) is not cell:
            yield f"{cell.label} has the id {cell.id!r} of {first.label}; each cell needs its own id"


def _roles(runbook: Runbook) -> Iterator[str]:
    for cell in runbook.cells:
        if len(cell.roles) > 1:
            yield f"{cell.label} has the role tags {', '.join(cell.roles)}; give the cell one of them"
        if cell.type == "code" and not cell.roles:
            yield f"{cell.label} has no role tag; allowed: {', '.join(ROLES)}"
        if cell.role and (cell.type == "markdown") != (cell.role in MARKDOWN_ROLES):
            yield f"{cell.label} is a {cell.type} cell; title and rollback are Markdown, all others code"
    neighbours = groupby(cell.role for cell in runbook.cells if cell.role)
    present = [role for role, group in neighbours for _ in ([role] if role in REPEATABLE else group)]
    yield from (f"the role {role!r} is missing" for role in ROLES if role not in present)
    expected = [role for role in ROLES if role in present]
    if present != expected:
        yield f"the roles stand in the order {', '.join(present)}; expected: {', '.join(expected)}"
    for end, role in ((runbook.cells[:1], "title"), (runbook.cells[-1:], "rollback")):
        if end and end[0].role != role and role in present:
            yield f"{end[0].label} stands in the place of the {role}"


def _title(runbook: Runbook) -> Iterator[str]:
    if (title := runbook.first("title")) is None:
        return
    if not re.match(r"#\s+\S+\s+\S+", title.source):
        yield f"{title.label} does not begin with a heading of verb and object, such as `# Deploy a release`"
    labels = " | ".join(found for pair in re.findall(r"^#+\s+(.+)$|\*\*(.+?)\*\*", title.source, re.MULTILINE) for found in pair).lower()
    for topic in TOLD:
        if not re.search(rf"\b{topic}", labels):
            yield f"{title.label} does not tell the {topic!r}; add this word as a heading or in bold"


def _parameters(runbook: Runbook) -> Iterator[str]:
    if runbook.first("parameters") is None:
        return
    try:
        declared = {parameter.name: parameter for parameter in runbook.parameters}
    except ParameterError as exc:
        yield str(exc).replace("\n  ", ". ")
        return
    for name in REQUIRED:
        if name not in declared:
            yield f"the parameter {name!r} is missing"
        elif declared[name].type != "str":
            yield f"the parameter {name!r} has the type {declared[name].type}; expected: str"
    if "mode" in declared and declared["mode"].default != "plan":
        yield f"the parameter 'mode' is {declared['mode'].default!r} by default; the default must be 'plan'"


def _code(cell: Cell) -> Iterator[str]:
    lines = cell.source.strip().splitlines()
    if len(lines) > MOST_LINES:
        yield f"{cell.label} has {len(lines)} lines (limit {MOST_LINES}); move logic into the library"
    if cell.has_outputs:
        yield f"{cell.label} has outputs or an execution count; clear the cell before you commit the notebook"
    if any(line.lstrip().startswith(("!", "%")) for line in lines):
        yield f"{cell.label} has a line with ! or %; a runbook runs no shell and no magic"
        return
    try:
        nodes = list(ast.walk(ast.parse(cell.source)))
    except (SyntaxError, ValueError) as exc:
        yield f"{cell.label} is not plain Python: {exc}"
        return
    for word in sorted({FORBIDDEN[kind] for node in nodes if (kind := type(node).__name__) in FORBIDDEN}):
        yield f"{cell.label} contains `{word}`; move this code into the library"


def _calls(runbook: Runbook) -> Iterator[str]:
    """Faults in the opening of the run (setup cell) and its conclusion (last code cell)."""
    code = [cell for cell in runbook.cells if cell.type == "code"]
    if (setup := runbook.first("setup")) and not _calls_in(setup.source, *OPENING):
        yield f"{setup.label} does not call balbook.open_run"
    if code and (code[-1].role != "conclude" or not _calls_in(code[-1].source, "run.conclude")):
        yield f"{code[-1].label} is the last code cell; the last one must be `conclude` and call run.conclude()"


def _calls_in(source: str, *names: str) -> list[ast.Call]:
    """The calls of these functions in a cell."""
    with suppress(SyntaxError, ValueError):
        return [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call) and ast.unparse(node.func) in names]
    return []
