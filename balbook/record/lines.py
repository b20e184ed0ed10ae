"""A line of a journal as an event of a known kind with all of its fields; else an error that names the line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from balbook.errors import BadInput
from balbook.record.events import KINDS, OWN, Event, RunOpened

HEAD = ("seq", "at", "event", "prev")
NEWER = "A newer balbook wrote this line, or somebody edited it. Install a newer balbook, or look at the line."
_ADAPTERS: dict[str, Any] = {}


def event_from(data: Any, place: str) -> Event:
    """The event of one line; BadInput naming `place` (file and line) where this balbook does not know such an event."""
    if not isinstance(data, dict) or not {"seq", "at", "event"} <= set(data):
        raise BadInput(f"{place}: this line is not an event", advice="A line of a journal has seq, at, event and prev. Was it edited?")
    name = str(data["event"])
    if name not in KINDS:
        raise BadInput(f"{place}: {name!r} is not a known kind of event", advice=NEWER)
    version = data.get("journal", 0)
    if KINDS[name] is RunOpened and isinstance(version, int) and version > RunOpened.KNOWN:
        raise BadInput(
            f"{place}: journal version {version} is newer than version {RunOpened.KNOWN}, the newest that this balbook reads",
            advice="Install a newer balbook.",
        )
    return _read(name, data, place)


def _read(name: str, data: Mapping[str, Any], place: str) -> Event:
    from pydantic import TypeAdapter, ValidationError  # loads with the first journal that is read, and not before

    adapter = _ADAPTERS.get(name) or _ADAPTERS.setdefault(name, TypeAdapter(KINDS[name]))
    own = {f.name for f in OWN[name]}
    given = {key: value for key, value in data.items() if key in own}
    more = {key: value for key, value in data.items() if key not in own and key not in HEAD}
    try:
        event: Event = adapter.validate_python({**given, "seq": data["seq"], "at": data["at"], "more": more})
    except ValidationError as exc:
        first = exc.errors(include_url=False)[0]
        field = first["loc"][0] if first["loc"] else "?"
        fault = f"has no {field}" if first["type"] == "missing" else f"has a wrong {field}: {str(first['msg']).lower()}"
        raise BadInput(f"{place}: the event {name} {fault}", advice=NEWER) from exc
    return event
