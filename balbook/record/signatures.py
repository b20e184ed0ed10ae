"""Signatures with the SSH key that an engineer already has, through `ssh-keygen -Y`, which never prompts here.

A key is a private key file, a public key file whose private half the agent holds, or a certificate (`…-cert.pub`).
A file in OpenSSH's `ALLOWED SIGNERS` format names the signers, with `valid-after`, `valid-before`, `namespaces` and
`cert-authority`; a file of public keys or a KRL holds the revoked keys. See ssh-keygen(1).

`ssh-keygen` gives its reason for a refusal in words only. This module finds the reason by asking again with one condition less,
not by reading those words.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from balbook.errors import BadInput, SignatureError

RECORD = "balbook-record"
APPROVAL = "balbook-approval"
DEADLINE_S = 60.0
"""A key on a hardware token waits for a touch."""

_INHERITED = ("PATH", "HOME", "USER", "LOGNAME", "SSH_AUTH_SOCK", "SSH_SK_PROVIDER", "XDG_RUNTIME_DIR")


@dataclass(frozen=True)
class Signer:
    """The owner of a signature: the name in `allowed_signers` (empty: not looked up) and the key's SHA256 fingerprint."""

    principal: str
    fingerprint: str


@dataclass(frozen=True)
class Trust:
    """The files of allowed signers and of revoked keys."""

    allowed_signers: Path
    revoked_keys: Path | None = None


def sign(data: bytes, key: Path, *, namespace: str = RECORD, environ: Mapping[str, str] | None = None) -> bytes:
    """An armored SSH signature of exactly these bytes; SignatureError where the key cannot sign without a prompt."""
    key = key.expanduser()
    if not key.is_file():
        raise SignatureError("missing", f"the signing key {key} does not exist", advice="Check records.sign_with in the inventory.")
    done = _ssh_keygen("-Y", "sign", "-f", str(key), "-n", namespace, stdin=data, environ=environ)
    if done.returncode:
        raise _cannot_sign(key, done.stderr)
    return done.stdout


def verify(data: bytes, signature: bytes, trust: Trust, at: datetime, *, namespace: str = RECORD) -> Signer:
    """The signer of `data`, allowed at `at` and not revoked; SignatureError says which condition fails.

    The signer claims `at`: a signature with a key that has expired since can be dated back, which only a ledger and its anchors show.
    """
    for path in (trust.allowed_signers, *([trust.revoked_keys] if trust.revoked_keys else [])):
        if not path.is_file():
            raise BadInput(f"{path} does not exist", advice="Name the file of allowed signers (and revoked keys) in the inventory.")
    with _file(signature) as path:
        time = f"-Overify-time={at.astimezone(UTC):%Y%m%d%H%M%S}"
        name = _principal(path, trust.allowed_signers, time)
        options = ["-Y", "verify", "-f", str(trust.allowed_signers), "-I", name, "-n", namespace, "-s", str(path), time]
        if name:
            done = _ssh_keygen(*options, *(["-r", str(trust.revoked_keys)] if trust.revoked_keys else []), stdin=data)
            if not done.returncode:
                return Signer(name, _fingerprint(done.stdout))
        key = check(data, signature, namespace=namespace).fingerprint
        is_revoked = bool(name and trust.revoked_keys and not _ssh_keygen(*options, stdin=data).returncode)
        raise _does_not_count(key, name, path, trust, at, namespace, is_revoked)


def check(data: bytes, signature: bytes, *, namespace: str = RECORD) -> Signer:
    """The key that made this signature of `data`, known or not; SignatureError where the signature does not fit."""
    with _file(signature) as path:
        done = _ssh_keygen("-Y", "check-novalidate", "-n", namespace, "-s", str(path), stdin=data)
    if done.returncode:
        raise SignatureError("altered", "the signature does not fit the signed bytes: one of the two was altered")
    return Signer("", _fingerprint(done.stdout))


def fingerprint(key: Path) -> str:
    """The SHA256 fingerprint of a key file's public half; empty where the file cannot be read."""
    done = _ssh_keygen("-l", "-E", "sha256", "-f", str(key.expanduser()))
    words = done.stdout.decode(errors="replace").split()
    return words[1] if not done.returncode and len(words) > 1 else ""


# ssh-keygen ----------------------------------------------------------------------------------------------------------------


def _ssh_keygen(*words: str, stdin: bytes = b"", environ: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[bytes]:
    """Runs `ssh-keygen` in its own session, without a terminal and without the caller's other variables."""
    source = os.environ if environ is None else environ
    kept = {name: source[name] for name in _INHERITED if name in source}
    argv = ["ssh-keygen", *words]
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**kept, "LC_ALL": "C", "TZ": "UTC", "SSH_ASKPASS_REQUIRE": "never"},
            start_new_session=True,
        )
    except FileNotFoundError as exc:
        raise SignatureError("unusable", "ssh-keygen is not installed", advice="Install OpenSSH's client (8.9 or newer).") from exc
    try:
        stdout, stderr = process.communicate(stdin, timeout=DEADLINE_S)
    except subprocess.TimeoutExpired as exc:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        message = f"ssh-keygen did not answer within {DEADLINE_S:g} s"
        raise SignatureError("unusable", message, advice="Is a hardware key waiting for a touch?") from exc
    return subprocess.CompletedProcess(argv, process.returncode, stdout, stderr)


@contextmanager
def _file(data: bytes) -> Iterator[Path]:
    """`ssh-keygen` takes a signature from a file only."""
    with tempfile.NamedTemporaryFile(prefix="balbook-", suffix=".sig") as file:
        file.write(data)
        file.flush()
        yield Path(file.name)


def _principal(signature: Path, allowed_signers: Path, *options: str) -> str:
    done = _ssh_keygen("-Y", "find-principals", "-s", str(signature), "-f", str(allowed_signers), *options)
    names = re.split(r"[,\n]", done.stdout.decode(errors="replace").strip())
    return "" if done.returncode else names[0]


def _fingerprint(said: bytes) -> str:
    return next((word for word in said.decode(errors="replace").split() if word.startswith("SHA256:")), "")


def _cannot_sign(key: Path, said: bytes) -> SignatureError:
    if key.suffix == ".pub":
        advice = f"Run ssh-add {str(key).removesuffix('.pub').removesuffix('-cert')}, and see that SSH_AUTH_SOCK is set."
        return SignatureError("not_in_agent", f"no agent holds the private half of {key}", advice=advice)
    if fingerprint(key) and _ssh_keygen("-y", "-P", "", "-f", str(key)).returncode:  # a key, yet not without its passphrase
        advice = f"Run ssh-add {key} first, or sign with a key that has no passphrase on this machine."
        return SignatureError("encrypted", f"the signing key {key} is locked by a passphrase and no agent holds it", advice=advice)
    last = (said.decode(errors="replace").strip().splitlines() or ["no output"])[-1]
    return SignatureError("unusable", f"ssh-keygen cannot sign with {key}: {last}", advice=f"Try ssh-keygen -y -f {key}")


def _does_not_count(key: str, name: str, signature: Path, trust: Trust, at: datetime, namespace: str, is_revoked: bool) -> SignatureError:
    """The error of the condition that a genuine signature fails, the most basic condition first."""
    signers = trust.allowed_signers
    if not name:
        with _file(_without_validity(signers.read_bytes())) as timeless:
            owner = _principal(signature, timeless)
        if owner:
            message = f"the key {key} of {owner} was not valid on {at.astimezone(UTC):%Y-%m-%d %H:%M} UTC (not yet, or expired)"
            return SignatureError("not_valid_then", message, advice=f"See its valid-after and valid-before in {signers}.")
        return SignatureError("not_allowed", f"the key {key} is not in {signers}", advice="Add the key only if you know its owner.")
    if is_revoked:
        message = f"the key {key} of {name} has been revoked"
        return SignatureError("revoked", message, advice="Its signatures prove nothing: anybody with the key can make them.")
    message = f"{name} is not allowed to sign as {namespace} with the key {key}"
    return SignatureError("not_allowed", message, advice=f"See its namespaces and options in {signers}.")


def _without_validity(allowed_signers: bytes) -> bytes:
    """The same signers without their limits in time."""
    kept = []
    for line in allowed_signers.splitlines():
        bare = re.sub(rb'valid-(?:after|before)=(?:"[^"]*"|[^\s,]+),?', b"", line, flags=re.IGNORECASE)
        kept.append(re.sub(rb",(?=\s)", b"", bare, count=1))
    return b"\n".join(kept) + b"\n"
