"""The secrets that an inventory names, and how a template of the user's names one: `${secret:env:DB_PASSWORD}`.

In a `Config.toml` it stands inside a string in double quotes, so that the template itself is valid TOML:

    password = "${secret:env:DB_PASSWORD}"

The value is put in on its way to the host; plans, diffs, digests and records have the reference.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from balbook.inventory.words import SecretReference
from balbook.secrets.secret_ref import SecretRef, Text

if TYPE_CHECKING:
    from balbook.inventory.models import Inventory

PLACEHOLDER = re.compile(r"\$\{secret:([^}\x00-\x1f]+)\}")


def secret_references(inventory: Inventory) -> tuple[str, ...]:
    """Every reference to a secret in the inventory and in the templates that it names, each once."""
    return tuple(dict.fromkeys(_references(inventory)))


def environment_names(inventory: Inventory) -> tuple[str, ...]:
    """The variables of the inventory's secrets (`env:NAME`), each once."""
    return tuple(reference.removeprefix("env:") for reference in secret_references(inventory) if reference.startswith("env:"))


def with_secrets(template: str) -> Text:
    """A TOML template as parts: each placeholder is a reference whose value fits into a string in double quotes."""
    words = PLACEHOLDER.split(template)
    parts = [SecretRef(word, quoting="toml") if number % 2 else word for number, word in enumerate(words)]
    return tuple(part for part in parts if part != "")


def _references(inventory: Inventory) -> Iterator[str]:
    yield from _in_fields(inventory)
    for application in inventory.applications.values():
        path = inventory.resolve(application.config.file) if application.config else None
        if path and path.is_file():
            yield from PLACEHOLDER.findall(path.read_text(encoding="utf-8", errors="replace"))


def _in_fields(value: Any, is_secret: bool = False) -> Iterator[str]:
    """The values of all fields of the type SecretReference, anywhere in the inventory."""
    if isinstance(value, str):
        yield from [value] if is_secret else []
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _in_fields(item, is_secret)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _in_fields(item, is_secret)
    elif fields := getattr(type(value), "model_fields", ()):
        kinds = get_type_hints(type(value), include_extras=True)
        for name in fields:
            yield from _in_fields(getattr(value, name), _has_references(kinds[name]))


def _has_references(kind: Any) -> bool:
    return kind == SecretReference or any(map(_has_references, get_args(kind)))
