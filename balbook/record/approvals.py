"""A second person's signature of a plan: the plan that is applied is the one that somebody else reviewed.

`<records>/approvals/<run id>/<n>.json` holds the plan's digest and who approved when; beside it `<n>.json.sig`, a signature of
those bytes in the namespace `balbook-approval`. Approvals stand outside of the run's folder, which is sealed by then; the run
that applies the plan takes copies into its own record. An approval counts for one such run.

`balbook rollback`, `drain` and `readmit` are emergency acts, which cannot wait for somebody else: they need no approval; where
the application asks for approvals they need a reason, and their journal says `not_approved`.

`allowed_signers` names the people: two keys with one name there are one person.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from balbook.errors import BadInput, Refused, SignatureError
from balbook.inventory import Inventory
from balbook.local.atomic_files import write_bytes
from balbook.local.digests import canonical
from balbook.local.names import require_word
from balbook.local.typed_json import parse_json
from balbook.plan.model import Plan
from balbook.plan.reading import read_plan, require_current
from balbook.record import signatures as signing
from balbook.record.journal import JOURNAL, history_of, timestamp
from balbook.record.ledger import open_ledger
from balbook.record.signatures import Signer, Trust
from balbook.record.statement import run_id_of

VERSION = 1
FOLDER = "approvals"
IDENTITY = "balbook-identity"


@dataclass(frozen=True)
class Said:
    """The signed content of an approval."""

    approver: str
    at: datetime
    reason: str
    run_id: str
    plan_digest: str
    runbook: str
    application: str
    version: int


@dataclass(frozen=True)
class Approval:
    """One approval: its bytes, the signature, and the content of these bytes."""

    text: bytes
    signature: bytes
    said: Said


def approve(
    run_dir: Path, key: Path, *, user: str, at: datetime, reason: str = "", environ: Mapping[str, str] | None = None
) -> tuple[Approval, Path]:
    """Signs the digest of the plan in a run's folder; returns the approval and its file.

    BadInput where the run has no plan, or a plan of an earlier version; SignatureError where the key cannot sign.
    """
    plan = require_current(read_plan(run_dir))
    run_id = require_word(run_id_of(run_dir), "run id")
    said = Said(user, at, reason, run_id, plan.digest, plan.runbook, plan.application, VERSION)
    text = canonical(asdict(said) | {"at": timestamp(at)}) + b"\n"
    signature = signing.sign(text, key, namespace=signing.APPROVAL, environ=environ)
    store = open_ledger(run_dir.parent / FOLDER / run_id).store
    number = 1
    # The signature first: an approval without one would be taken for altered.
    while not store.create(f"{number}.json.sig", signature):
        number += 1
    store.create(f"{number}.json", text)
    return Approval(text, signature, said), run_dir.parent / FOLDER / run_id / f"{number}.json"


def read_approvals(records: Path, run_id: str) -> list[Approval]:
    """The approvals of a run's plan, unchecked. BadInput where an approval cannot be read."""
    failed = partial(BadInput, advice="Move this file away and approve the plan again.")
    found = []
    for path in sorted((records / FOLDER / run_id).glob("*.json")):
        try:
            text, signature = path.read_bytes(), path.with_name(f"{path.name}.sig").read_bytes()
        except OSError as exc:
            raise failed(f"{path} cannot be read: {exc.strerror}") from exc
        found.append(Approval(text, signature, parse_json(text, Said, str(path), failed, version=VERSION)))
    return found


def require_approvals(
    plan: Plan, approvals: Sequence[Approval], needed: int, *, applier: Signer, trust: Trust | None
) -> list[tuple[Approval, Signer]]:
    """The approvals that count, by different people other than the applier; Refused where fewer than `needed` count.

    An approval counts for exactly this plan, signed by somebody who was allowed to sign at that time and is not revoked.
    """
    if needed < 1:
        return []
    if trust is None:
        raise Refused("this application needs approvals, but no file says whose approvals count", advice="Set records.allowed_signers.")
    counting: dict[str, tuple[Approval, Signer]] = {}
    why: list[str] = []
    for approval in approvals:
        if approval.said.plan_digest != plan.digest:
            why.append(f"the approval of {approval.said.approver} is for another plan ({approval.said.plan_digest[:12]}…)")
            continue
        try:
            signer = signing.verify(approval.text, approval.signature, trust, approval.said.at, namespace=signing.APPROVAL)
        except SignatureError as exc:
            why.append(f"the approval of {approval.said.approver} does not count: {exc.message}")
            continue
        if signer.principal == applier.principal or signer.fingerprint == applier.fingerprint:
            why.append(f"{signer.principal} approves and applies the plan")
            continue
        counting[signer.principal] = (approval, signer)
    if len(counting) < needed:
        message = "; ".join([f"the plan {plan.digest[:12]}… needs {needed} approvals of other people, has {len(counting)}", *why])
        raise Refused(message, advice="Ask somebody else to run balbook approve RUN_ID.")
    return list(counting.values())


def needed(inventory: Inventory, plan: Plan) -> int:
    """The number of approvals that the inventory asks for; a plan without steps changes nothing and needs 0."""
    application = inventory.applications.get(plan.application)
    return application.approvals if application and plan.steps else 0


def require_unused(run_dir: Path, shown: str) -> None:
    """Refused where another run has applied the approved plan of the run `shown`: an approved plan is applied once."""
    for path in sorted(run_dir.parent.glob(f"*/{JOURNAL}")):
        if path.parent == run_dir or b'"approved"' not in path.read_bytes():
            continue
        history = history_of(path.parent)
        if shown in history.approvals_of and history.has_applied:
            raise Refused(
                f"run {run_id_of(path.parent)} has used the approvals of run {shown}: an approved plan is applied once",
                advice="Make a new plan and have it approved.",
            )


def identity(key: Path | None, trust: Trust | None, *, at: datetime, environ: Mapping[str, str] | None = None) -> Signer:
    """The owner of `key` by `allowed_signers`, shown by a signature made now; Refused or SignatureError otherwise."""
    if key is None or trust is None:
        raise Refused(
            "this application needs approvals, but no key says who applies the plan", advice="Set records.sign_with and allowed_signers."
        )
    challenge = os.urandom(32)
    return signing.verify(challenge, signing.sign(challenge, key, namespace=IDENTITY, environ=environ), trust, at, namespace=IDENTITY)


def keep_approvals(run_dir: Path, approvals: Sequence[Approval]) -> None:
    """Copies the approvals into the record of the run that applies the plan."""
    folder = run_dir / FOLDER
    folder.mkdir(exist_ok=True)
    for number, approval in enumerate(approvals, 1):
        write_bytes(folder / f"{number}.json", approval.text)
        write_bytes(folder / f"{number}.json.sig", approval.signature)
