"""One record as tables for a person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from balbook.show.table import Table


def description(data: Mapping[str, Any]) -> list[Table]:
    """A summary of `listing.summary` as tables: who, what, why, steps, measurements, files."""
    who, git = data.get("who") or {}, data.get("git") or {}
    given = {key: value for key, value in (data.get("parameters") or {}).items() if value not in ("", [])}
    about = [
        ("what", f"{data['name']}, mode {data.get('mode', '-')}"),
        ("verdict", data["verdict"] + (f": {data['why']}" if data["why"] else "")),
        ("started", data["started_at"]),
        ("by", f"{who.get('user', '?')} on {who.get('host', '?')}"),
        ("signed", _signed(data)),
        ("where", "a lab: hosts and Ballerina are stand-ins" if data.get("lab") else _environment(data)),
        ("reason", data.get("reason") or "none given"),
        *([("approved", data["approval"])] if data["approval"] else []),
        ("ticket", data.get("ticket") or "none given"),
        ("parameters", ", ".join(f"{key}={value}" for key, value in given.items())),
        ("inventory", (data.get("inventory") or {}).get("path", "-")),
        ("commit", f"{git['commit']}{', with changes' if git.get('dirty') else ''}" if git.get("commit") else "-"),
        ("versions", "; ".join(_versions(data.get("versions") or {})) or "-"),
        ("artifact", ", ".join(f"{path} {value[:12]}…" for path, value in data["digests"].items()) or "-"),
        ("also in", ", ".join(f"{o['record']} ({o['environment'] or '-'}, {o['verdict']})" for o in data["same_artifact"]) or "-"),
        ("record", data["record"]),
    ]
    tables = [Table((f"run {data['run_id']}", ""), about)]
    if data["steps"]:
        rows = [(s["host"], s["title"], s["outcome"], "-" if s["seconds"] is None else f"{s['seconds']:.2f} s") for s in data["steps"]]
        tables.append(Table(("host", "step", "outcome", "time"), rows, title="Steps"))
    if measured := {key: value for key, value in data["measurements"].items() if isinstance(value, int | float | str)}:
        tables.append(Table(("measured", "value"), [(key.replace("_", " "), value) for key, value in measured.items()]))
    tables.append(Table(("file",), [(name,) for name in data["files"]], title="Files"))
    return [*tables, *([Table(("note",), [(note,) for note in data["notes"]])] if data["notes"] else [])]


def _signed(data: Mapping[str, Any]) -> str:
    if not data["is_signed"]:
        return "no"
    how = f"with {data['signing_key']}"
    return f"by {data['signed_by']} {how}" if data["signed_by"] else f"{how}, unverified. Run balbook records verify"


def _environment(data: Mapping[str, Any]) -> str:
    return str((data.get("inventory") or {}).get("environment") or "-")


def _versions(versions: Mapping[str, Any]) -> Iterator[str]:
    """The versions of `balbook` and the local programs, then of each host's programs."""
    for name, version in versions.items():
        if name != "hosts":
            yield f"{name} {version}"
    for host, programs in (versions.get("hosts") or {}).items():
        yield f"{host}: " + ", ".join(f"{name} {version}" for name, version in programs.items())
