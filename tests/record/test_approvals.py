"""A plan that needs approvals is applied only with signatures of other people, of exactly this plan."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from balbook.errors import BadInput, Refused, SignatureError
from balbook.inventory.models import Application
from balbook.plan.model import Plan
from balbook.plan.reading import read_plan
from balbook.record.approvals import approve, identity, keep_approvals, read_approvals, require_approvals
from balbook.record.ledger import open_ledger
from balbook.record.seal import seal
from balbook.record.signatures import Signer, Trust
from balbook.record.statement import files_of
from balbook.record.verify import verify_records
from tests.plan.test_version_1 import DATA as VERSION_1
from tests.run_folders import Keys, allowed_line, make_key, make_keys, run_folder

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def ada(tmp_path: Path) -> Keys:
    return make_keys(tmp_path, "ada")


@pytest.fixture
def bob(tmp_path: Path) -> Path:
    return make_key(tmp_path, "bob")


@pytest.fixture
def trust(tmp_path: Path, ada: Keys, bob: Path) -> Trust:
    both = tmp_path / "both"
    both.write_text(allowed_line(ada.key, "ada@example.org") + allowed_line(bob, "bob@example.org"))
    return Trust(both)


@pytest.fixture
def planned(tmp_path: Path) -> Path:
    return run_folder(tmp_path / "records")


def counting(planned: Path, needed: int, applier: Signer, trust: Trust | None, plan: Plan | None = None) -> list[str]:
    approvals = read_approvals(planned.parent, "k3x9")
    return [
        signer.principal for _, signer in require_approvals(plan or read_plan(planned), approvals, needed, applier=applier, trust=trust)
    ]


def test_a_second_persons_approval_counts(planned: Path, ada: Keys, bob: Path, trust: Trust) -> None:
    approval, path = approve(planned, bob, user="bob", at=AT, reason="looks right")
    assert approval.said.plan_digest == read_plan(planned).digest
    assert path.is_file()
    applier = identity(ada.key, trust, at=AT)
    assert applier.principal == "ada@example.org"
    assert counting(planned, 1, applier, trust) == ["bob@example.org"]


def test_ones_own_approval_does_not_count_even_with_another_key(tmp_path: Path, planned: Path, ada: Keys, trust: Trust) -> None:
    other = make_key(tmp_path, "ada2")
    trust.allowed_signers.write_text(trust.allowed_signers.read_text() + allowed_line(other, "ada@example.org"))
    for key in (ada.key, other):
        approve(planned, key, user="somebody", at=AT)
    with pytest.raises(Refused, match=r"needs 1 approvals of other people, has 0; ada@example\.org approves and applies the plan"):
        counting(planned, 1, identity(ada.key, trust, at=AT), trust)


def test_a_plan_of_version_1_is_not_approved_any_more(planned: Path, bob: Path) -> None:
    (planned / "plan.json").write_text(json.dumps(VERSION_1))
    with pytest.raises(BadInput, match="this plan has version 1"):
        approve(planned, bob, user="bob", at=AT)
    assert read_approvals(planned.parent, "k3x9") == []


def test_two_approvals_of_one_person_are_one(planned: Path, ada: Keys, bob: Path, trust: Trust) -> None:
    for _ in range(2):
        approve(planned, bob, user="bob", at=AT)
    with pytest.raises(Refused, match="needs 2 approvals of other people, has 1"):
        counting(planned, 2, identity(ada.key, trust, at=AT), trust)


def test_an_approval_of_another_plan_does_not_count(planned: Path, ada: Keys, bob: Path, trust: Trust) -> None:
    approve(planned, bob, user="bob", at=AT)
    changed = replace(read_plan(planned), subject={"release": "6.6.6"})
    with pytest.raises(Refused, match="the approval of bob is for another plan"):
        counting(planned, 1, identity(ada.key, trust, at=AT), trust, changed)


def test_a_strangers_and_an_altered_approval_do_not_count(tmp_path: Path, planned: Path, ada: Keys, bob: Path, trust: Trust) -> None:
    approve(planned, make_key(tmp_path, "eve"), user="bob", at=AT)
    _, path = approve(planned, bob, user="bob", at=AT)
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b'"approver":"bob"', b'"approver":"joe"'))
    with pytest.raises(Refused, match=r"(?s)of bob does not count: the key .* is not in .*of joe does not count: .*altered"):
        counting(planned, 1, identity(ada.key, trust, at=AT), trust)


def test_nothing_is_needed_where_the_inventory_asks_for_nothing(planned: Path) -> None:
    assert Application.model_validate({"instances": [{"host": "a", "port": 1}]}).approvals == 0
    assert require_approvals(read_plan(planned), [], 0, applier=Signer("", ""), trust=None) == []


def test_who_applies_must_be_known(planned: Path, ada: Keys, bob: Path, trust: Trust) -> None:
    with pytest.raises(Refused, match="whose approvals count"):
        counting(planned, 1, Signer("x", "y"), None)
    with pytest.raises(Refused, match="who applies"):
        identity(None, trust, at=AT)
    with pytest.raises(SignatureError, match="is not in"):
        identity(bob, ada.trust, at=AT)


def test_a_run_without_a_plan_cannot_be_approved(planned: Path, bob: Path) -> None:
    (planned / "plan.json").unlink()
    with pytest.raises(BadInput, match="no plan that can be read"):
        approve(planned, bob, user="bob", at=AT)


def test_an_approval_that_cannot_be_read_is_named(planned: Path, bob: Path) -> None:
    _, path = approve(planned, bob, user="bob", at=AT)
    path.with_name("1.json.sig").unlink()
    with pytest.raises(BadInput, match=r"1\.json cannot be read: "):
        read_approvals(planned.parent, "k3x9")


def test_approving_leaves_a_sealed_plan_as_it_is_and_the_applying_run_keeps_it(tmp_path: Path, planned: Path, ada: Keys, bob: Path) -> None:
    ledger = open_ledger(planned.parent / "ledger")
    seal(planned, ledger, sign_with=ada.key, now=lambda: AT)
    approve(planned, bob, user="bob", at=AT)
    applying = run_folder(planned.parent, "next")
    keep_approvals(applying, read_approvals(planned.parent, "k3x9"))
    assert {"approvals/1.json", "approvals/1.json.sig"} <= set(files_of(applying))
    seal(applying, ledger, sign_with=ada.key, now=lambda: AT)
    head = ledger.head()
    assert head
    assert verify_records(planned.parent, trust=ada.trust, anchors=[head]).exit_status == 0
