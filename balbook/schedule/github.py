"""Workflows for GitHub Actions, from the templates in `templates/workflows`.

Actions are pinned by commit, with the tag in a comment.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from balbook.errors import BadInput, nearest
from balbook.inventory import Inventory
from balbook.inventory.secret_references import environment_names
from balbook.local.names import require_word
from balbook.local.own_file import marked, write_own
from balbook.local.rendering import render

KINDS = ("ci", "cd", "decentralized")
FOLDER = Path(".github") / "workflows"
ABOUT = '-p "application=$APPLICATION" -p "reason=$REASON" -p "ticket=$TICKET"'
RELEASE = '-p "release=$RELEASE"'
KEPT = ("Ballerina.toml", "Dependencies.toml", "main.bal", ".gitignore")
"""Files of the consolidated project that come back into the checkout."""
AWS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
MARGIN_S = 3600
"""Time for builds, checks and uploads beside the rollout itself, so that the engine ends before its job does."""
BUILT = '-p "file=$GITHUB_WORKSPACE/target/bin"'


@dataclass(frozen=True)
class Block:
    """A step that runs a command, a constant of ours; `secrets` are those that it alone sees."""

    title: str
    command: str
    secrets: tuple[str, ...] = ()


BLOCKS = {
    "cd": (
        Block("Consolidate the packages", f"balbook apply consolidate {ABOUT}", ("BALLERINA_CENTRAL_ACCESS_TOKEN",)),
        Block("Build", f"balbook apply build {ABOUT}", ("BALLERINA_CENTRAL_ACCESS_TOKEN",)),
        Block("Replace what runs", f"balbook apply hot_deploy {ABOUT}"),
    ),
    "decentralized": (
        Block("Publish", f"balbook apply publish_artifact {BUILT} {RELEASE} {ABOUT}", ("REGISTRY_CREDENTIALS",)),
        Block("Retrieve", f"balbook apply retrieve {RELEASE} {ABOUT}", ("REGISTRY_CREDENTIALS",)),
        Block("Configure", f"balbook apply configure {RELEASE} {ABOUT}"),
        Block("Deploy", f"balbook apply deploy {RELEASE} {ABOUT}"),
        Block("Verify", f"balbook apply verify {RELEASE} {ABOUT}"),
    ),
}
"""The steps of a deploying workflow, in order. Values come as variables, so that no shell ever reads one as text of the script."""


@dataclass(frozen=True)
class Pin:
    """A commit of an action, and the tag that it had when it was read."""

    ref: str
    tag: str = ""

    def __str__(self) -> str:
        return f"{self.ref} # {self.tag}" if self.tag else self.ref


PINS = {
    "actions/checkout": Pin("3d3c42e5aac5ba805825da76410c181273ba90b1", "v7.0.1"),
    "actions/setup-python": Pin("5fda3b95a4ea91299a34e894583c3862153e4b97", "v7.0.0"),
    "actions/upload-artifact": Pin("bbbca2ddaa5d8feaa63e36b76fdaad77386f024f", "v7.0.0"),
    "ballerina-platform/ballerina-action": Pin("c0ea1cfcc2ad9121aca1f5b66a89bf466ffcf482", "2201.13.1"),
}


@dataclass(frozen=True)
class Wanted:
    """The settings of a workflow. `packages` are directories of the source repository, in the order in which they are pushed.

    `secrets`: names of secrets that every step which runs a runbook gets beside its own. `rollout_s`: the longest time of a rollout.
    """

    kind: str
    environment: str = "staging"
    inventory: str = "inventory.yaml"
    records: str = "records"
    branch: str = "main"
    packages: tuple[str, ...] = (".",)
    pins: Mapping[str, Pin] = field(default_factory=lambda: PINS)
    runs_on: str = "ubuntu-24.04"
    secrets: tuple[str, ...] = ()
    has_s3: bool = False
    rollout_s: float = 3600.0


def pins_with(given: Sequence[str]) -> dict[str, Pin]:
    """The pins, with those of `NAME=REF` in their place; NAME with or without its owner. BadInput for an unknown name."""
    short = {name.rpartition("/")[2]: name for name in PINS}
    pins = dict(PINS)
    for assignment in given:
        name, sign, ref = assignment.partition("=")
        known = name if name in PINS else short.get(name)
        if not sign or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,127}", ref):
            raise BadInput(f"--action {assignment!r} is not NAME=REF", advice="Write --action checkout=COMMIT.")
        if known is None:
            raise BadInput(f"--action {assignment!r}: no workflow uses {name!r}", advice=nearest(name, [*PINS, *short]))
        pins[known] = Pin(ref)
    return pins


def is_moving(pin: Pin) -> bool:
    """True for a tag or a branch, which its owner can move."""
    return not re.fullmatch(r"[0-9a-f]{40}", pin.ref)


def informed(wanted: Wanted, inventory: Inventory) -> Wanted:
    """The same, with the inventory's values: the variables of its secrets, the use of S3, the longest rollout. Pure."""
    places = (inventory.registry.url if inventory.registry else "", inventory.records.ledger or "")
    has_s3 = any(place.startswith("s3://") for place in places)
    names = dict.fromkeys((*wanted.secrets, *environment_names(inventory), *(AWS if has_s3 else ())))
    longest = max([application.rollout.deadline_s for application in inventory.applications.values()], default=wanted.rollout_s)
    return replace(wanted, secrets=tuple(names), has_s3=has_s3, rollout_s=longest)


def workflow_text(wanted: Wanted) -> str:
    """The text of the whole file, its first line included. Pure."""
    return marked(render(f"workflows/{wanted.kind}.yaml.j2", **_values(wanted)), f"balbook workflow {wanted.kind}")


def write_workflow(wanted: Wanted, folder: Path) -> tuple[Path, bool]:
    """Writes the file; (its path, False) where it exists already. Refused where the file has another content."""
    path = folder / ("ballerina-packages.yaml" if wanted.kind == "ci" else f"{wanted.kind}-{wanted.environment}.yaml")
    return path, write_own(path, workflow_text(wanted))


def _values(wanted: Wanted) -> dict[str, Any]:
    from balbook import __version__

    if wanted.kind not in KINDS:
        raise BadInput(f"there is no workflow {wanted.kind!r}", advice=nearest(wanted.kind, KINDS))
    require_word(wanted.environment, "environment")
    for path in (wanted.branch, wanted.inventory, wanted.records, *wanted.packages):
        _require_inside(path)
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9._-]*", wanted.runs_on):
        raise BadInput(
            f"--runs-on {wanted.runs_on!r} is not the label of a runner", advice="Write ubuntu-24.04 or self-hosted, for example."
        )
    if wrong := [name for name in wanted.secrets if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name)]:
        raise BadInput(f"--secret {wrong[0]!r} is not the name of a secret", advice="Give the name alone: letters, digits and _.")
    return {
        **vars(wanted),
        "blocks": [replace(b, secrets=tuple(dict.fromkeys((*b.secrets, *wanted.secrets)))) for b in BLOCKS.get(wanted.kind, ())],
        "has_release": wanted.kind == "decentralized",
        "deploy_minutes": -(-int(wanted.rollout_s + MARGIN_S) // 60),
        "project": [str(PurePosixPath(wanted.inventory).parent / "*" / name) for name in KEPT],
        "aws": AWS if wanted.has_s3 else (),
        "extra": "[s3]" if wanted.has_s3 else "",
        "version": __version__,
        "uses": lambda name: f"{name}@{wanted.pins[name]}",
    }


def _require_inside(path: str) -> None:
    """Raises BadInput for anything but a relative path of plain words: a path inside the repository, or a branch's name."""
    if not re.fullmatch(r"\.|[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*", path):
        advice = "Write a path inside the repository, such as services/rooms."
        raise BadInput(f"{path!r} is not a relative path of plain words", advice=advice)
