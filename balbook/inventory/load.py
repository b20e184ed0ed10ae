"""Finds the inventory, reads it, and says everything that is wrong with it at once.

Found by `-i`, else the notebook's `inventory` parameter, else `BALBOOK_INVENTORY`, else `./inventory.yaml`, else the
running lab's.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from balbook.errors import InventoryError
from balbook.inventory.consistency import reference_problems
from balbook.inventory.document import Document, Place, Problem, read_document
from balbook.inventory.models import VERSION, Inventory
from balbook.inventory.problems import shape_problems, surprising_texts
from balbook.local.digests import canonical, sha256_of

VARIABLE = "BALBOOK_INVENTORY"
FILE_NAME = "inventory.yaml"
WAYS = f"Name one with -i FILE or {VARIABLE}, make one with `balbook init DIR`, or start a lab with `balbook lab up`."
MEND = "Mend these lines and try again; `balbook schema` prints the JSON Schema, which editors check while you type."

REFERRING = ("host", "kind", "listen", "method", "tls", "balancer", "strategy", "instances", "capacity_floor", "config")
"""Fields that `references` reads; an entry is not checked further where one of them is faulty."""


def load_inventory(
    path: Path | None,
    *,
    parameter: str = "",
    environ: Mapping[str, str],
    cwd: Path,
    lab_inventory: Path | None,
) -> Inventory:
    """The inventory that these sources name, the first of them that says anything; its `path` is the one to print.

    `path` is `-i`'s, `parameter` the notebook's; both, like the environment's, are relative to `cwd`. A file that is
    named but missing is an error and never falls through to the next source.
    """
    found, _ = find_inventory(path, parameter=parameter, environ=environ, cwd=cwd, lab_inventory=lab_inventory)
    return read_inventory(found)


def find_inventory(
    path: Path | None,
    *,
    parameter: str = "",
    environ: Mapping[str, str],
    cwd: Path,
    lab_inventory: Path | None,
) -> tuple[Path, str]:
    """The inventory's file, and what named it."""
    named = [
        (str(path) if path is not None else "", "-i"),
        (parameter, "the parameter `inventory`"),
        (environ.get(VARIABLE, ""), VARIABLE),
    ]
    for text, source in named:
        if text:
            found = cwd / Path(text).expanduser()
            if not found.is_file():
                raise InventoryError(f"{found}, named by {source}, is not a file", advice=WAYS)
            return found, source
    if (cwd / FILE_NAME).is_file():
        return cwd / FILE_NAME, f"./{FILE_NAME}"
    if lab_inventory is not None and lab_inventory.is_file():
        return lab_inventory, "the running lab"
    raise InventoryError(f"no inventory: there is no {cwd / FILE_NAME}, and no lab is running", advice=WAYS)


def read_inventory(path: Path) -> Inventory:
    """The inventory in this file. Raises InventoryError with every problem, one a line, each as `file:line: field: …`."""
    document = read_document(path, InventoryError, advice=WAYS)
    if not isinstance(document.data, dict):
        found = "nothing" if document.data is None else "no mapping"
        raise InventoryError(f"{path}:1: found {found}; an inventory is a mapping with `version` and `hosts`", advice=WAYS)
    _require_known_version(document)
    inventory, problems = _validated(document)
    if problems or inventory is None:
        raise InventoryError(document.report(problems), advice=MEND)
    return inventory


def digest_of(inventory: Inventory) -> str:
    """sha256 (hex) over what the inventory says, defaults included; where it is stored does not matter."""
    return sha256_of(canonical(inventory.model_dump(mode="json")))


def inventory_schema() -> dict[str, Any]:
    """The JSON Schema of the inventory, for editors."""
    schema: dict[str, Any] = _with_json_patterns(Inventory.model_json_schema())
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "balbook inventory"}


def _require_known_version(document: Document) -> None:
    version = document.data.get("version", VERSION)
    if isinstance(version, int) and version > VERSION:
        raise InventoryError(
            f"{document.path}:{document.line_of(('version',))}: version: found {version}; this balbook knows {VERSION}",
            advice="Install a newer balbook, or go back to an inventory of this version.",
        )


def _validated(document: Document) -> tuple[Inventory | None, list[Problem]]:
    """The inventory without its faulty entries, and all problems: of the text, of single values, of references."""
    problems = [*document.problems, *surprising_texts(document)]
    known = {problem.place for problem in problems}
    data = document.data
    if isinstance(data.get("version"), bool | float):
        problems.append(Problem(("version",), f"found {data['version']}; allowed: {VERSION}"))
    inventory: Inventory | None
    try:
        inventory = Inventory.model_validate(data, strict=True)
    except ValidationError as exc:
        problems += [problem for problem in shape_problems(document, exc) if problem.place not in known]
        inventory = _without_faulty(data, [tuple(detail["loc"]) for detail in exc.errors()])
    if inventory is not None:
        inventory._path = document.path.absolute()
        problems += reference_problems(inventory, document)
    return inventory, problems


def _without_faulty(data: Mapping[str, Any], faults: list[Place]) -> Inventory | None:
    """What is left once everything faulty is taken out, so that references are checked in the same round."""
    rest: dict[str, Any] = copy.deepcopy(dict(data))
    for place in faults:
        section = rest.get(str(place[0])) if place else None
        entry = section.get(place[1]) if len(place) > 1 and isinstance(section, dict) else None
        if len(place) > 2 and isinstance(entry, dict) and place[0] in ("applications", "balancers") and place[2] not in REFERRING:
            entry.pop(place[2], None)
        elif len(place) > 1 and isinstance(section, dict):
            section.pop(place[1], None)
        elif place:
            rest.pop(str(place[0]), None)
    try:
        return Inventory.model_validate(rest, strict=True)
    except ValidationError:
        return None


def _with_json_patterns(value: Any) -> Any:
    """Python's `\\Z` is JSON Schema's `$`."""
    if isinstance(value, dict):
        return {key.replace("\\Z", "$"): _with_json_patterns(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_json_patterns(item) for item in value]
    return value.replace("\\Z", "$") if isinstance(value, str) else value
