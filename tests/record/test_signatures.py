"""Signing with SSH keys: whose signatures count, when, and what is said where they do not."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from balbook.errors import BadInput, SignatureError
from balbook.record import signatures as signing
from balbook.record.signatures import Trust, sign, verify
from tests.run_folders import Keys, allowed_line, make_key, make_keys

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
DATA = b"as it stands, byte for byte \xff\n"
NO_AGENT = {"PATH": os.environ.get("PATH", "/usr/bin:/bin")}


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return make_keys(tmp_path)


@pytest.fixture
def agent() -> Iterator[dict[str, str]]:
    said = subprocess.run(["ssh-agent", "-s"], capture_output=True, text=True, check=True, timeout=10).stdout
    found = dict(part.split("=", 1) for line in said.splitlines() for part in line.split(";")[:1] if "=" in part)
    yield {**NO_AGENT, "SSH_AUTH_SOCK": found["SSH_AUTH_SOCK"]}
    os.kill(int(found["SSH_AGENT_PID"]), signal.SIGTERM)


def fault(data: bytes, signature: bytes, trust: Trust, at: datetime = AT, namespace: str = signing.RECORD) -> SignatureError:
    with pytest.raises(SignatureError) as caught:
        verify(data, signature, trust, at, namespace=namespace)
    return caught.value


def test_an_allowed_signer_is_named(keys: Keys) -> None:
    signer = verify(DATA, sign(DATA, keys.key, environ=NO_AGENT), keys.trust, AT)
    assert signer == signing.Signer("ada@example.org", signing.fingerprint(keys.key))


def test_a_changed_text_is_told_from_a_stranger(keys: Keys, tmp_path: Path) -> None:
    signature = sign(DATA, keys.key, environ=NO_AGENT)
    assert fault(DATA + b"x", signature, keys.trust).fault == "altered"
    stranger = make_keys(tmp_path, "eve")
    told = fault(DATA, signature, stranger.trust)
    assert told.fault == "not_allowed"
    assert signing.fingerprint(keys.key) in told.message


@pytest.mark.parametrize(
    ("options", "at", "state"),
    [
        ('valid-before="20260101"', AT, "not_valid_then"),
        ('valid-after="20270101"', AT, "not_valid_then"),
        ('namespaces="balbook-record",valid-before="20260101"', AT, "not_valid_then"),
        ('namespaces="git"', AT, "not_allowed"),
        ('valid-after="20260101",valid-before="20270101"', AT, ""),
        ('valid-after="20260101",valid-before="20270101"', AT + timedelta(days=365), "not_valid_then"),
        ('valid-after="20260301115900Z"', AT, ""),
    ],
)
def test_a_signer_counts_only_in_its_time_and_for_its_purpose(tmp_path: Path, options: str, at: datetime, state: str) -> None:
    keys = make_keys(tmp_path, options=options)
    signature = sign(DATA, keys.key, environ=NO_AGENT)
    if state:
        assert fault(DATA, signature, keys.trust, at).fault == state
    else:
        assert verify(DATA, signature, keys.trust, at).principal == "ada@example.org"


def test_a_revoked_key_counts_no_longer(keys: Keys, tmp_path: Path) -> None:
    signature = sign(DATA, keys.key, environ=NO_AGENT)
    revoked = tmp_path / "revoked"
    revoked.write_text(Path(f"{keys.key}.pub").read_text())
    told = fault(DATA, signature, Trust(keys.trust.allowed_signers, revoked))
    assert told.fault == "revoked"
    assert "ada@example.org has been revoked" in told.message


def test_a_signature_for_one_purpose_does_not_serve_another(keys: Keys) -> None:
    signature = sign(DATA, keys.key, namespace=signing.APPROVAL, environ=NO_AGENT)
    assert fault(DATA, signature, keys.trust).fault == "altered"
    assert verify(DATA, signature, keys.trust, AT, namespace=signing.APPROVAL)


def test_a_missing_key_is_said(tmp_path: Path) -> None:
    with pytest.raises(SignatureError, match=r"does not exist") as caught:
        sign(DATA, tmp_path / "nokey", environ=NO_AGENT)
    assert caught.value.fault == "missing"


def test_an_encrypted_key_without_agent_is_said_and_nothing_is_prompted(tmp_path: Path) -> None:
    key = make_key(tmp_path, passphrase="correct horse")
    with pytest.raises(SignatureError, match=r"(?s)locked by a passphrase.*ssh-add") as caught:
        sign(DATA, key, environ=NO_AGENT | {"SSH_ASKPASS": "/bin/false", "DISPLAY": ":0"})
    assert caught.value.fault == "encrypted"


def test_a_public_key_without_agent_is_said(keys: Keys, tmp_path: Path) -> None:
    public = tmp_path / "alone.pub"
    public.write_text(Path(f"{keys.key}.pub").read_text())
    with pytest.raises(SignatureError, match="no agent holds") as caught:
        sign(DATA, public, environ=NO_AGENT)
    assert caught.value.fault == "not_in_agent"


def test_a_file_that_is_no_key_is_said(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("not a key")
    key.chmod(0o600)
    with pytest.raises(SignatureError, match="cannot sign") as caught:
        sign(DATA, key, environ=NO_AGENT)
    assert caught.value.fault == "unusable"


def test_an_agent_signs_for_an_encrypted_key(keys: Keys, agent: dict[str, str], tmp_path: Path) -> None:
    subprocess.run(["ssh-add", "-q", str(keys.key)], env=agent, check=True, timeout=10, stdin=subprocess.DEVNULL)
    subprocess.run(["ssh-keygen", "-q", "-p", "-P", "", "-N", "correct horse", "-f", keys.key], check=True, timeout=30)
    for key in (keys.key, Path(f"{keys.key}.pub")):
        assert verify(DATA, sign(DATA, key, environ=agent), keys.trust, AT).principal == "ada@example.org"


def test_a_certificate_counts_for_its_authority(keys: Keys, tmp_path: Path) -> None:
    authority = make_key(tmp_path, "authority")
    certify = ["ssh-keygen", "-q", "-s", authority, "-I", "ada", "-n", "ada@corp", "-V", "20260101:20270101", f"{keys.key}.pub"]
    subprocess.run(certify, check=True, timeout=30)
    allowed = tmp_path / "allowed_by_authority"
    allowed.write_text(allowed_line(authority, "*@corp", "cert-authority"))
    signature = sign(DATA, Path(f"{keys.key}-cert.pub"), environ=NO_AGENT)
    assert verify(DATA, signature, Trust(allowed), AT).principal == "ada@corp"
    assert fault(DATA, sign(DATA, keys.key, environ=NO_AGENT), Trust(allowed)).fault == "not_allowed"


def test_other_variables_do_not_reach_ssh_keygen(keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = tmp_path / "seen"
    program = tmp_path / "bin" / "ssh-keygen"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\nenv > {seen}\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.setenv("TOKEN", "top-secret-value")
    with pytest.raises(SignatureError):
        sign(DATA, keys.key)
    assert "SSH_ASKPASS_REQUIRE=never" in seen.read_text()
    assert "TOKEN" not in seen.read_text()


def test_a_missing_file_of_signers_is_bad_input(keys: Keys, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="does not exist"):
        verify(DATA, sign(DATA, keys.key, environ=NO_AGENT), Trust(tmp_path / "none"), AT)
