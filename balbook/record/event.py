"""An event of a journal: what every kind has, and how a kind is named and written on disk.

A class is a kind: `StepStarted` stands in the journal as `step_started`. Fields without a default are always written; a field
with a default is written where it has another value. `seq` (1, 2, …) and `at` (UTC, ISO 8601 with milliseconds) are the
journal's to set. `more` keeps the other keys of a line: open-ended measurements, and fields that a later balbook added.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from datetime import datetime
from typing import Any, dataclass_transform

SPELLED = {"ErrorRaised": "error", "UploadProgress": "progress"}
"""The kinds whose name on disk is not that of their class."""


@dataclass_transform(kw_only_default=True, frozen_default=True)
@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened in a run; each kind is a subclass, and a frozen dataclass as this one."""

    seq: int = 0
    at: str = ""
    more: Mapping[str, Any] = field(default_factory=dict)

    def __init_subclass__(cls) -> None:
        dataclass(frozen=True, kw_only=True)(cls)

    @property
    def time(self) -> datetime:
        """The time of the event."""
        return datetime.fromisoformat(self.at)

    @property
    def event(self) -> str:
        """The kind, as the journal names it."""
        return name_of(type(self))

    def payload(self) -> dict[str, Any]:
        """The event's own fields as they are written, without `seq`, `at`, `event` and `prev`."""
        own = {f.name: getattr(self, f.name) for f in own_fields(type(self)) if getattr(self, f.name) != f.default}
        return {**own, **self.more}


def name_of(kind: type[Event]) -> str:
    """The name of a kind on disk: `step_started` for `StepStarted`."""
    return SPELLED.get(kind.__name__) or re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()


def own_fields(kind: type[Event]) -> tuple[Field[Any], ...]:
    """The fields of a kind that are its own."""
    return tuple(f for f in fields(kind) if f.name not in ("seq", "at", "more"))
