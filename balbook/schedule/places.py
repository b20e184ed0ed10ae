"""The folders of schedules: one user's, or the machine's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Places:
    """Folders of definitions (`NAME.json`), outcomes (`NAME.jsonl`, `NAME.lock`) and systemd's unit files."""

    definitions: Path
    state: Path
    units: Path
    is_system: bool = False

    def definition(self, name: str) -> Path:
        return self.definitions / f"{name}.json"

    def outcomes(self, name: str) -> Path:
        return self.state / f"{name}.jsonl"

    def lock(self, name: str) -> Path:
        return self.state / f"{name}.lock"


def places(environ: Mapping[str, str], *, is_system: bool = False) -> Places:
    """The user's folders as the XDG specification has them, or the machine's."""
    if is_system:
        return Places(Path("/etc/balbook/schedules"), Path("/var/lib/balbook/schedules"), Path("/etc/systemd/system"), True)
    home = Path(environ.get("HOME") or Path.home())
    config = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    state = Path(environ.get("XDG_STATE_HOME") or home / ".local" / "state")
    return Places(config / "balbook" / "schedules", state / "balbook" / "schedules", config / "systemd" / "user")
