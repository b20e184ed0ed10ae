"""The ledger, the signers and the anchor of an inventory's records; and the seal at the end of every run."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from balbook.errors import BadInput, RecordError
from balbook.inventory import Inventory
from balbook.record import anchors
from balbook.record.journal import history_of
from balbook.record.ledger import Ledger, open_ledger
from balbook.record.seal import Record, seal
from balbook.record.signatures import Trust
from balbook.secrets.references import without_secrets

ALLOWED_SIGNERS = "allowed_signers"


def records_folder(inventory: Inventory) -> Path:
    """The folder of the records."""
    return inventory.resolve(inventory.records.path)


def ledger_of(inventory: Inventory) -> Ledger:
    """The ledger of an inventory's records."""
    named = inventory.records.ledger
    if named and "://" in named and not named.startswith("file://"):
        return open_ledger(named)
    return open_ledger(inventory.resolve(named) if named else records_folder(inventory) / "ledger")


def trust_of(inventory: Inventory) -> Trust | None:
    """The allowed signers and revoked keys; None where the inventory has no file of allowed signers."""
    named = inventory.records.allowed_signers
    path = inventory.resolve(named) if named else inventory.path.parent / ALLOWED_SIGNERS
    if named and not path.is_file():
        raise BadInput(
            f"{path}, named by records.allowed_signers, does not exist", advice="Write this file: a line `name ssh-ed25519 AAAA…` a signer."
        )
    revoked = inventory.records.revoked_keys
    return Trust(path, inventory.resolve(revoked) if revoked else None) if path.is_file() else None


def anchor_of(inventory: Inventory) -> anchors.Anchor | None:
    """The anchor of the ledger's head; None where the inventory names none."""
    wanted = inventory.records.anchor
    if wanted is None:
        return None
    if wanted.kind == "git_tag":
        return anchors.GitTag(inventory.path.parent, signing_key(inventory), wanted.remote)
    return anchors.Program(tuple(wanted.command), tuple(wanted.read), inventory.path.parent)


def signing_key(inventory: Inventory) -> Path | None:
    """The key that seals; None where the inventory names none."""
    return inventory.resolve(inventory.records.sign_with) if inventory.records.sign_with else None


def bare_environment(inventory: Inventory) -> dict[str, str]:
    """The environment without the inventory's secrets, for processes that need no secret."""
    return without_secrets(os.environ, inventory.secrets.references)


def seal_run(inventory: Inventory, run_dir: Path, say: Callable[[str], None], *, is_given_up: bool = False) -> Record | None:
    """Seals a run that has ended. `say` gets every problem, with the place of the record; the run's verdict stands.

    A run that lost its process has not ended: it is sealed after it was resumed, or where it is given up (`balbook seal`).
    """
    if not is_given_up and history_of(run_dir).is_lost:
        say(f"not sealed: the run's process was lost. Go on with the run: balbook resume {run_dir.name.rpartition('-')[2]}")
        return None
    try:
        record = seal(
            run_dir,
            ledger_of(inventory),
            sign_with=signing_key(inventory),
            anchor=anchor_of(inventory),
            environ=bare_environment(inventory),
        )
    except (RecordError, BadInput) as exc:
        say(f"NOT SEALED: {exc}")
        return None
    for note in record.notes:
        say(f"record: {note}")
    return record
