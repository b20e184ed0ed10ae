"""`request.json` in a run's folder: the checked request for the run, sealed with the record.

The executor of a notebook hands the request to the kernel by one variable, `BALBOOK_REQUEST=FILE#FD`: the file, and the number of
the descriptor by which the kernel gets its secrets (see `secrets.vault`). A number is no secret, and each kernel that a process
starts has another one; in the file the number would be a detail of one moment in a record. The kernel does not check the request
again: it compares the request with the notebook's parameters, and with the inventory, which it reads anyway.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from balbook.errors import BadInput, ParameterError, Refused
from balbook.inventory import Inventory, digest_of, read_inventory
from balbook.local.atomic_files import write_text
from balbook.local.typed_json import read_json
from balbook.notebook.runbook import Runbook

REQUEST = "BALBOOK_REQUEST"
FILE = "request.json"


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """The request for a run. It holds no secret: its parameters were searched for those of the inventory."""

    version: Literal[1] = 1
    """Version of this format."""
    notebook: Path
    """The executed file, absolute."""
    procedure: str
    """The runbook whose procedure it follows: the name in its call of `open_run`."""
    parameters: dict[str, Any]
    """A value for each, the inventory's defaults filled in."""
    inventory: Path
    inventory_sha256: str
    """By `digest_of`."""
    expected_digest: str = ""
    """Of the plan that was agreed on; empty without such a plan."""
    shown_in: str = ""
    """The run that showed that plan; empty without such a plan."""
    key: str = ""
    """Of a job that may be retried; empty without a key."""

    @classmethod
    def of(cls, executed: Runbook, procedure: str, inventory: Inventory, parameters: Mapping[str, Any], **agreed: Any) -> RunRequest:
        """The request for a run of this notebook; `agreed` are the fields that have a default."""
        about: dict[str, Any] = {"inventory": inventory.path, "inventory_sha256": digest_of(inventory), "parameters": dict(parameters)}
        return cls(notebook=executed.path.absolute(), procedure=procedure, **about, **agreed)

    def keep(self, run_dir: Path) -> None:
        """Writes the request into the run's folder, readable only for its owner."""
        write_text(run_dir / FILE, json.dumps(asdict(self), indent=1, default=str) + "\n", mode=0o600)


@dataclass(frozen=True)
class Handed:
    """A request that was handed to this kernel."""

    request: RunRequest
    run_dir: Path
    secrets_fd: int

    def inventory(self) -> Inventory:
        """The inventory that the request was checked against. Refused where its file has changed since."""
        inventory = read_inventory(self.request.inventory)
        if digest_of(inventory) != self.request.inventory_sha256:
            raise Refused(f"{inventory.path} was changed after the run was asked for", advice="Nothing was touched. Start the run again.")
        inventory.secrets.take_over(self.secrets_fd)
        return inventory

    def require_same(self, procedure: str, parameters: Mapping[str, Any]) -> None:
        """ParameterError where the notebook opens another run than the request; the message shows no value."""
        asked = self.request.parameters
        if procedure != self.request.procedure:
            raise ParameterError(
                f"the notebook opens a run of {procedure}, but a run of {self.request.procedure} was asked for",
                advice="Write this name into the call of balbook.open_run in the setup cell, and open only one run.",
            )
        if other := [name for name, value in parameters.items() if name not in asked or asked[name] != value]:
            raise ParameterError(
                f"the notebook opens its run with another value for {', '.join(other)} than was asked for",
                advice="In the call of balbook.open_run, pass each parameter unchanged from the parameters cell.",
            )


def handing(run_dir: Path, secrets_fd: int) -> dict[str, str]:
    """The variable that hands a kernel the request in this folder."""
    return {REQUEST: f"{run_dir / FILE}#{secrets_fd}"}


def handed(environ: Mapping[str, str] = os.environ) -> Handed | None:
    """The request that was handed to this kernel; None where no executor of ours started the kernel."""
    if not environ.get(REQUEST):
        return None
    path, _, fd = environ[REQUEST].rpartition("#")
    if not fd.isdigit():
        raise _not_ours("the value ends with no descriptor number")
    return Handed(read_json(Path(path), RunRequest, _not_ours, version=1), Path(path).parent, int(fd))


def _not_ours(why: str) -> BadInput:
    return BadInput(f"the variable {REQUEST} names no request: {why}", advice=f"Only balbook sets this variable: unset {REQUEST}.")
