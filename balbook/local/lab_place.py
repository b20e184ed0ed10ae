"""The folders of labs, and the lab that is running.

A lab is a private folder `<labs home>/<name>` with `lab.json`, its state. The labs home is `BALBOOK_LAB_HOME`, else
`~/.local/state/balbook/labs`. Every command looks here when no inventory is named, so only light modules are imported.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from balbook.errors import BadInput, Failed, Refused
from balbook.local.atomic_files import write_text
from balbook.local.names import require_word
from balbook.local.processes import identity
from balbook.local.typed_json import parse_json

VARIABLE = "BALBOOK_LAB_HOME"
DEFAULT_NAME = "default"
INVENTORY = "inventory.yaml"
STATE = "lab.json"
VERSION = 1


@dataclass(frozen=True)
class State:
    """The contents of `lab.json`, the first file that is written of a lab, so that an interrupted start is seen.

    `ports` are reserved for the lab's hosts, instances and balancer, whether somebody listens there yet or not.
    `servers` has pid and identity (see `processes.identity`) of each host's server and of Central. `addresses` of hosts that
    are machines of their own, and `base`, the image that they stand on; `odd`, how some of them are unlike others. `is_up` is set last.
    """

    version: int = field(default=VERSION, kw_only=True)
    backend: str
    ports: Mapping[str, int] = field(default_factory=dict)
    servers: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    is_up: bool = False
    addresses: Mapping[str, str] = field(default_factory=dict)
    base: str = ""
    odd: Mapping[str, Sequence[str]] = field(default_factory=dict)


def labs_home(environ: Mapping[str, str]) -> Path:
    """The folder of all labs, absolute; it need not exist.

    Raises BadInput where its name cannot be a part of paths on hosts (spaces and the like).
    """
    named = environ.get(VARIABLE, "")
    home = Path(environ.get("HOME") or Path.home())
    found = Path(named).expanduser().absolute() if named else home / ".local" / "state" / "balbook" / "labs"
    found = found.resolve()  # a marker is compared with what processes say of themselves
    if not re.fullmatch(r"/[A-Za-z0-9._+/-]+", str(found)):
        raise BadInput(
            f"labs cannot live in {str(found)!r}: a path on a host is limited to letters, digits and . _ + - /",
            advice=f"Set {VARIABLE} to a folder with such a name.",
        )
    return found


def lab_folder(name: str, environ: Mapping[str, str]) -> Path:
    """The folder of the lab of this name; it need not exist."""
    return labs_home(environ) / require_word(name, "the lab's name")


def running_inventory(environ: Mapping[str, str]) -> Path | None:
    """The inventory of the running lab: the default lab's, else that of the only running lab; None for no lab or several."""
    running = running_labs(environ)
    names = [DEFAULT_NAME] if DEFAULT_NAME in running else running
    return lab_folder(names[0], environ) / INVENTORY if len(names) == 1 else None


def running_labs(environ: Mapping[str, str]) -> list[str]:
    """The names of all labs that are up, sorted. A labs home that cannot be read or used has none."""
    try:
        return [folder.name for folder in sorted(labs_home(environ).iterdir()) if folder.is_dir() and is_running(folder)]
    except (BadInput, OSError):
        return []


def is_running(folder: Path) -> bool:
    """True where the lab in this folder was started to the end and one of its servers is alive: not after a reboot."""
    state = read_state(folder)
    if state is None or not state.is_up or not (folder / INVENTORY).is_file():
        return False
    return any(identity(pid) == born for pid, born in state.servers.values())


def read_state(folder: Path) -> State | None:
    """The state of the lab; None where there is no lab. An unreadable state is that of an interrupted start."""
    try:
        return parse_json((folder / STATE).read_bytes(), State, str(folder / STATE), Failed, version=VERSION)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except Failed:
        return State(backend="")


def write_state(folder: Path, state: State) -> None:
    """Writes the state, whole or not at all."""
    write_text(folder / STATE, json.dumps(asdict(state), indent=1))


def require_lab_or_nothing(folder: Path) -> None:
    """Raises Refused where the path is taken, but not by a lab of this user: `down` removes the folder."""
    advice = f"Choose another name for the lab, or another {VARIABLE}."
    if not folder.exists() and not folder.is_symlink():
        return
    if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
        raise Refused(f"{folder} is a link, or belongs to another user", advice=advice)
    if (folder / STATE).is_file():
        return
    if not folder.is_dir() or any(not p.name.startswith(f".{STATE}.") for p in folder.iterdir()):
        raise Refused(f"{folder} is not the folder of a lab: {STATE} is missing", advice=advice)
