"""Finds the inventory, reads the file, and tells all of its problems at once.

Found by `-i`, else the notebook's `inventory` parameter, else `BALBOOK_INVENTORY`, else `./inventory.yaml`, else the
running lab's.
"""

from __future__ import annotations

import copy
import json
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
MEND = "Correct these lines and try again. `balbook schema` prints the JSON Schema, by which editors check the file while you type."

REFERRING = ("host", "kind", "listen", "method", "tls", "balancer", "strategy", "instances", "capacity_floor", "config")
"""Fields that `consistency` reads; an entry with a fault in one of these fields is not checked further."""


def load_inventory(
    path: Path | None, *, parameter: str = "", environ: Mapping[str, str], cwd: Path, lab_inventory: Path | None
) -> Inventory:
    """The inventory that the first of these sources names; its `path` is the one to print.

    `path` is `-i`'s, `parameter` the notebook's; both, like the environment's, are relative to `cwd`. A file that is
    named but missing is an error and never falls through to the next source.
    """
    found, _ = find_inventory(path, parameter=parameter, environ=environ, cwd=cwd, lab_inventory=lab_inventory)
    return read_inventory(found)


def find_inventory(
    path: Path | None, *, parameter: str = "", environ: Mapping[str, str], cwd: Path, lab_inventory: Path | None
) -> tuple[Path, str]:
    """The inventory's file, and the source that named it."""
    named = {"-i": str(path or ""), "the parameter `inventory`": parameter, VARIABLE: environ.get(VARIABLE, "")}
    for source, text in named.items():
        if text:
            found = cwd / Path(text).expanduser()
            if not found.is_file():
                raise InventoryError(f"{found}, named by {source}, is not a file", advice=WAYS)
            return found, source
    if (cwd / FILE_NAME).is_file():
        return cwd / FILE_NAME, f"./{FILE_NAME}"
    if lab_inventory is not None and lab_inventory.is_file():
        return lab_inventory, "the running lab"
    raise InventoryError(f"no inventory found: {cwd / FILE_NAME} does not exist, and no lab is running", advice=WAYS)


def read_inventory(path: Path) -> Inventory:
    """The inventory in this file. Raises InventoryError with every problem, one a line, each as `file:line: field: …`."""
    document = read_document(path, InventoryError, advice=WAYS)
    if not isinstance(document.data, dict):
        found = "an empty file" if document.data is None else "no mapping"
        raise InventoryError(f"{path}:1: found {found}; an inventory is a mapping with `version` and `hosts`", advice=WAYS)
    _require_known_version(document)
    inventory, problems = _validated(document)
    if problems or inventory is None:
        raise InventoryError(document.report(problems), advice=MEND)
    return inventory


def digest_of(inventory: Inventory) -> str:
    """The sha256 (hex) of the inventory's contents, defaults included; the file's path does not matter."""
    return sha256_of(canonical(inventory.model_dump(mode="json")))


def inventory_schema() -> dict[str, Any]:
    """The JSON Schema of the inventory, for editors."""
    schema = json.loads(json.dumps(Inventory.model_json_schema()).replace(r"\\Z", "$"))  # Python's `\Z` is JSON Schema's `$`
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "balbook inventory"}


def _require_known_version(document: Document) -> None:
    version = document.data.get("version", VERSION)
    if isinstance(version, int) and version > VERSION:
        problem = Problem(("version",), f"found {version}; this balbook knows {VERSION}")
        raise InventoryError(document.report([problem]), advice="Install a newer balbook, or go back to an inventory of this version.")


def _validated(document: Document) -> tuple[Inventory | None, list[Problem]]:
    """The inventory without its faulty entries, and all problems: of the text, of single values, of references."""
    problems = [*document.problems, *surprising_texts(document)]
    known = {problem.place for problem in problems}
    data = document.data
    if isinstance(data.get("version"), bool | float):
        problems.append(Problem(("version",), f"found {data['version']}; allowed: {VERSION}"))
    try:
        inventory: Inventory | None = Inventory.model_validate(data, strict=True)
    except ValidationError as exc:
        problems += [problem for problem in shape_problems(document, exc) if problem.place not in known]
        inventory = _without_faulty(data, [tuple(detail["loc"]) for detail in exc.errors()])
    if inventory is not None:
        inventory._path = document.path.absolute()
        problems += reference_problems(inventory, document)
    return inventory, problems


def _without_faulty(data: Mapping[str, Any], faults: list[Place]) -> Inventory | None:
    """The inventory without its faulty parts, so that references are checked in the same round."""
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
