"""A YAML file as plain data that still knows on which line each value stands and how it was written.

PyYAML's safe resolver decides what a word means; nothing is constructed but text, numbers, booleans, lists and
mappings. Dates stay text. A trap that YAML does not report is a problem here: a key written twice, `010` read as 8,
`22:22` read as 1342.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from balbook.errors import BadInput

Place = tuple[str | int, ...]
"""Keys and indexes from the top of the document to a value."""

LARGEST_FILE = 1_000_000
MOST_VALUES = 100_000
PLAIN = {f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "str", "seq", "map", "timestamp")}
MERGE = "tag:yaml.org,2002:merge"


@dataclass(frozen=True)
class Problem:
    """One problem: its place, and a sentence with the value found, the allowed values and the nearest known name."""

    place: Place
    text: str
    line: int = 0

    @property
    def field_name(self) -> str:
        """`applications.hotel.instances[0].port`."""
        text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" if _is_plain(part) else f".{part!r}" for part in self.place)
        return text.removeprefix(".")


@dataclass
class Document:
    """A file's data; by place `lines` (where a value starts), `written` (the text of a scalar), and `read`, if that is no text."""

    path: Path
    data: Any = None
    lines: dict[Place, int] = field(default_factory=dict)
    written: dict[Place, str] = field(default_factory=dict)
    read: dict[Place, Any] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def line_of(self, place: Place) -> int:
        """The line of a value, or of the nearest value around a missing one."""
        while place not in self.lines and place:
            place = place[:-1]
        return self.lines.get(place, 1)

    def report(self, problems: list[Problem]) -> str:
        """The problems in the file's order, one a line: `file:line: field: text`."""
        lined = sorted((problem.line or self.line_of(problem.place), problem.field_name, problem.text) for problem in problems)
        return "\n".join(f"{self.path}:{line}: {name}: {text}" if name else f"{self.path}:{line}: {text}" for line, name, text in lined)


def read_document(path: Path, error: type[BadInput], advice: str = "") -> Document:
    """The file's YAML. Raises `error` where it cannot be read or is not YAML; other problems are in the document."""
    return document_of(path, text_of(path, error, advice), error)


def document_of(path: Path, text: str, error: type[BadInput]) -> Document:
    """`read_document` of a text that was read from this file."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        at = f"{path}:{mark.line + 1}" if mark else str(path)
        told = "; ".join(part for part in (exc.context, exc.problem) if part)
        raise error(f"{at}: this is not YAML: {told}", advice="Check the indentation, and the quotes around special characters.") from exc
    except (yaml.YAMLError, RecursionError) as exc:
        raise error(f"{path}: this is not YAML: {str(exc).splitlines()[0]}", advice="Is it the right file?") from exc
    document = Document(path)
    if root is not None:
        try:
            document.data = _Reader(document).value(root, ())
        except RecursionError as exc:
            raise error(f"{path}: values are nested too deeply", advice="Is it the right file?") from exc
    return document


def text_of(path: Path, error: type[BadInput], advice: str) -> str:
    """The file's text. Raises `error` where it cannot be read, is too large or not UTF-8."""
    try:
        content = path.read_bytes()
    except FileNotFoundError as exc:
        raise error(f"{path} does not exist", advice=advice) from exc
    except OSError as exc:
        raise error(f"{path} cannot be read: {exc.strerror}", advice=advice) from exc
    if len(content) > LARGEST_FILE:
        raise error(f"{path} has {len(content)} bytes (limit {LARGEST_FILE})", advice="Is it the right file?")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = content.count(b"\n", 0, exc.start) + 1
        raise error(f"{path}:{line}: this is not UTF-8 text", advice="Save the file as UTF-8.") from exc


class _Reader:
    """Turns nodes into data, and writes lines, texts and problems into the document."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.constructor = yaml.constructor.SafeConstructor()
        self.open: list[yaml.Node] = []
        self.count = 0

    def value(self, node: yaml.Node, place: Place) -> Any:
        self.document.lines.setdefault(place, node.start_mark.line + 1)
        self.count += 1
        if node in self.open or self.count > MOST_VALUES:
            return self._problem(
                node, place, f"the alias contains itself, or the aliases of the file make too many values (limit {MOST_VALUES})"
            )
        if node.tag not in PLAIN:
            return self._problem(node, place, f"the tag {node.tag.rpartition(':')[2]!r} is not allowed; write a plain value")
        self.open.append(node)
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, place)
            if isinstance(node, yaml.SequenceNode):
                return [self.value(item, (*place, index)) for index, item in enumerate(node.value)]
            return self._scalar(node, place) if isinstance(node, yaml.ScalarNode) else None
        finally:
            self.open.pop()

    def _mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for base in reversed(list(self._merged(node, place))):
            data |= self._mapping(base, place)
        first: dict[str, int] = {}
        for key, value in node.value:
            if key.tag == MERGE or (name := self._key(key, place)) is None:
                continue
            line = key.start_mark.line + 1
            if name in first:
                self._problem(key, (*place, name), f"is written twice, here and on line {first[name]}; remove one")
                continue
            first[name] = line
            self.document.lines[(*place, name)] = line
            data[name] = self.value(value, (*place, name))
        return data

    def _key(self, key: yaml.Node, place: Place) -> str | None:
        if not isinstance(key, yaml.ScalarNode):
            self._problem(key, place, "a key must be a single word")
            return None
        if key.tag != "tag:yaml.org,2002:str" and key.tag in PLAIN:
            read = spoken(self._constructed(key))
            self._problem(key, (*place, key.value), f'YAML reads the key {key.value} as {read}; write it in quotes: "{key.value}"')
            return None
        return str(key.value)

    def _merged(self, node: yaml.MappingNode, place: Place) -> Iterator[yaml.MappingNode]:
        """The mappings that `<<` names, the strongest first."""
        for key, value in node.value:
            if key.tag == MERGE:
                for base in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                    self.count += 1
                    if isinstance(base, yaml.MappingNode) and base not in self.open and self.count <= MOST_VALUES:
                        self.open.append(base)
                        yield base
                        self.open.pop()
                    else:
                        self._problem(key, place, "`<<` must name another mapping")

    def _scalar(self, node: yaml.ScalarNode, place: Place) -> Any:
        text = str(node.value)
        self.document.written[place] = text
        if node.tag.endswith((":str", ":timestamp")):
            return text
        read = self._constructed(node)
        if isinstance(read, int) and not isinstance(read, bool) and text != str(read):
            return self._problem(node, place, f'YAML reads {text} as the number {read}; write {read}, or "{text}" in quotes for text')
        if read is not None:
            self.document.read[place] = read
        return read

    def _constructed(self, node: yaml.ScalarNode) -> Any:
        try:
            return self.constructor.construct_object(node)
        except (ValueError, yaml.YAMLError):
            return str(node.value)

    def _problem(self, node: yaml.Node, place: Place, text: str) -> None:
        if self.count <= MOST_VALUES + 1:
            self.document.problems.append(Problem(place, text, node.start_mark.line + 1))


def _is_plain(part: str) -> bool:
    return part.replace("_", "a").replace("-", "a").isalnum()


def spoken(value: object) -> str:
    """`the number 1.1`, `the truth value true`, `nothing`."""
    if isinstance(value, bool):
        return f"the truth value {str(value).lower()}"
    return "nothing" if value is None else f"the number {value}"
