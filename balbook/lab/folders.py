"""What all backends of the lab do with folders: one start or stop at a time, and removal to the last file."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from balbook.local import locks
from balbook.local.lab_place import INVENTORY, labs_home


@dataclass(frozen=True)
class LabFolder:
    """What every lab's folder has, whatever its hosts are."""

    name: str
    folder: Path

    @property
    def inventory(self) -> Path:
        return self.folder / INVENTORY

    @property
    def known_hosts(self) -> Path:
        return self.folder / "known_hosts"

    @property
    def client_key(self) -> Path:
        return self.folder / "client_key"


@contextmanager
def alone(environ: Mapping[str, str]) -> Iterator[None]:
    """One start or stop of a lab at a time: ports are handed out, and a half-started lab is told from an abandoned one."""
    home = labs_home(environ)
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    with locks.holding(home / ".lock"):
        yield


def remove(path: Path) -> None:
    """Removes a file or a folder with all that is in it, also what was made read-only."""
    if not path.is_dir() or path.is_symlink():
        path.unlink()
        return
    for folder, _, _ in os.walk(path):
        Path(folder).chmod(stat.S_IRWXU)
    shutil.rmtree(path)
