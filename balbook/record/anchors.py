"""Anchors: the ledger's head, kept out of reach of those who can edit the ledger, so that a cut end or a rewritten chain shows.

An anchor is a signed git tag `balbook-ledger-<number>` with the head as its message, pushed to a remote; or a command of the
user's that gets the head on standard input (and another command that prints the kept heads).
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from balbook.errors import BadInput, RecordError
from balbook.record.ledger import Head, Ledger, head_from
from balbook.record.signatures import Trust

TAG = "balbook-ledger-"
DEADLINE_S = 60.0


@dataclass(frozen=True)
class GitTag:
    """Signed tags in the repository that holds `folder`, pushed to `remote` (unset: to `origin`, if the repository has it)."""

    folder: Path
    sign_with: Path | None = None
    remote: str | None = None

    def put(self, head: Head, environ: Mapping[str, str]) -> str:
        """Tags the head, pushes the tag, and says where the tag is."""
        if self.sign_with is None:
            raise BadInput("a git tag as an anchor needs a signing key", advice="Set records.sign_with in the inventory.")
        tag = f"{TAG}{head.number:08}"
        signing = ("-c", "gpg.format=ssh", "-c", f"user.signingkey={self.sign_with.expanduser()}")
        if not self._git(environ, "tag", "--list", tag).strip():
            self._git(environ, *signing, "tag", "--sign", "--cleanup=verbatim", "--file=-", tag, stdin=head.line())
        elif self._head(environ, tag) != head:
            raise RecordError(
                f"the tag {tag} anchors another entry {head.number} than the ledger has", advice="Run balbook records verify."
            )
        remote = self._remote(environ)
        if not remote:
            return f"tag {tag} in {self.folder} (no remote: anybody who can edit the repository can remove the tag)"
        self._git(environ, "push", "--quiet", remote, f"refs/tags/{tag}")
        return f"tag {tag} in {self.folder}, pushed to {remote}"

    def readable(self, environ: Mapping[str, str], trust: Trust | None = None) -> tuple[list[Head], list[str]]:
        """The heads that could be read, and why others could not: a remote does not answer, no allowed signer signed a tag."""
        heads, problems = [], []
        try:
            remote = self._remote(environ)
        except RecordError as exc:
            return [], [f"could not be read: {exc.message}"]
        try:
            if remote:  # whoever deleted a tag here has not deleted it there
                self._git(environ, "fetch", "--quiet", "--no-tags", remote, f"refs/tags/{TAG}*:refs/tags/{TAG}*")
        except RecordError as exc:
            problems.append(f"only the tags of this clone could be read: {exc.message}")
        for name in self._git(environ, "tag", "--list", f"{TAG}*").decode().split():
            try:
                heads.append(self._head(environ, name, trust))
            except (RecordError, BadInput) as exc:
                problems.append(f"the tag {name} was left out: {exc.message}")
        return heads, problems

    def _remote(self, environ: Mapping[str, str]) -> str:
        return self.remote or ("origin" if b"origin" in self._git(environ, "remote").split() else "")

    def _head(self, environ: Mapping[str, str], name: str, trust: Trust | None = None) -> Head:
        if trust:
            signers = ("-c", "gpg.format=ssh", "-c", f"gpg.ssh.allowedSignersFile={trust.allowed_signers}")
            revoked = ("-c", f"gpg.ssh.revocationFile={trust.revoked_keys}") if trust.revoked_keys else ()
            self._git(environ, *signers, *revoked, "verify-tag", name)
        text = self._git(environ, "cat-file", "tag", name)
        message = text.partition(b"\n\n")[2].partition(b"-----BEGIN")[0]
        return head_from(message.strip())

    def _git(self, environ: Mapping[str, str], *words: str, stdin: bytes = b"") -> bytes:
        quiet = {**environ, "GIT_TERMINAL_PROMPT": "0", "SSH_ASKPASS_REQUIRE": "never", "LC_ALL": "C"}
        return _run(["git", "-C", str(self.folder), *words], stdin, quiet)


@dataclass(frozen=True)
class Program:
    """A command of the user's; `read` is a second one, which prints the kept heads, one a line."""

    command: Sequence[str]
    read: Sequence[str] = ()
    folder: Path = Path()

    def put(self, head: Head, environ: Mapping[str, str]) -> str:
        """Gives the head to the command."""
        _run(self.command, head.line(), environ, self.folder)
        return f"entry {head.number} given to {self.command[0]}"

    def readable(self, environ: Mapping[str, str], trust: Trust | None = None) -> tuple[list[Head], list[str]]:
        """The heads that `read` prints, or why they could not be read: the command's output counts as a whole."""
        if not self.read:
            return [], [f"could not be read: {self.command[0]} only takes heads; set records.anchor.read to the command that prints them"]
        try:
            return [head_from(line) for line in _run(self.read, b"", environ, self.folder).splitlines() if line.strip()], []
        except (RecordError, BadInput) as exc:
            return [], [f"could not be read: {exc.message}"]


Anchor = GitTag | Program


def anchor(ledger: Ledger, to: Anchor, *, environ: Mapping[str, str] | None = None) -> tuple[Head, str]:
    """Anchors the ledger's head now; returns the head and a sentence that says where the anchor is. RecordError on failure."""
    try:
        head = ledger.head()
    except OSError as exc:
        raise RecordError(f"the ledger {ledger.location} cannot be read: {exc}", advice="Check its place and your rights there.") from exc
    if head is None:
        raise BadInput(f"the ledger {ledger.location} is empty: nothing to anchor", advice="Run a runbook first.")
    return head, to.put(head, os.environ if environ is None else environ)


def _run(argv: Sequence[str], stdin: bytes, environ: Mapping[str, str], folder: Path | None = None) -> bytes:
    name = " ".join(argv[:1])
    try:
        done = subprocess.run(
            argv, input=stdin, capture_output=True, env=dict(environ), cwd=folder, timeout=DEADLINE_S, start_new_session=True
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise RecordError(f"the anchor's command {name} did not work: {exc}", advice="The record itself is sealed.") from exc
    if done.returncode:
        last = (done.stderr.decode(errors="replace").strip().splitlines() or ["no output"])[-1]
        message = f"the anchor's command {name} ended with {done.returncode}: {last}"
        raise RecordError(message, advice="The record itself is sealed. Run balbook records anchor once the command works.")
    return done.stdout
