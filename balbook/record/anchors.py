"""Anchors: the ledger's head where whoever can edit the ledger cannot reach, so that a cut end or a rewritten chain shows.

Either a signed git tag `balbook-ledger-<number>` whose message is the head, pushed to a remote; or a command of the user's
that gets the head on standard input (and another that prints the heads which it kept).
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from balbook.errors import BadInput, Inconclusive, RecordError
from balbook.record.ledger import Head, Ledger, head_from
from balbook.record.signatures import Trust

TAG = "balbook-ledger-"
DEADLINE_S = 60.0


@dataclass(frozen=True)
class GitTag:
    """Signed tags in the repository that holds `folder`; `remote` unset: `origin` where there is one."""

    folder: Path
    sign_with: Path | None = None
    remote: str | None = None

    def put(self, head: Head, environ: Mapping[str, str]) -> str:
        """Tag the head and push the tag; says where it is now."""
        if self.sign_with is None:
            raise BadInput("an anchor that is a git tag needs a key", advice="Set records.sign_with in the inventory.")
        tag = f"{TAG}{head.number:08}"
        signing = ("-c", "gpg.format=ssh", "-c", f"user.signingkey={self.sign_with.expanduser()}")
        existing = self._git(environ, "tag", "--list", tag)
        if not existing.strip():
            self._git(environ, *signing, "tag", "--sign", "--cleanup=verbatim", "--file=-", tag, stdin=head.line())
        elif self._heads(environ, tag) != [head]:
            raise RecordError(f"the tag {tag} anchors another entry {head.number}", advice="Run balbook records verify.")
        remote = self.remote or ("origin" if b"origin" in self._git(environ, "remote").split() else None)
        if remote is None:
            return f"tag {tag} in {self.folder} (no remote: whoever can edit the repository can remove it)"
        self._git(environ, "push", "--quiet", remote, f"refs/tags/{tag}")
        return f"tag {tag} in {self.folder}, pushed to {remote}"

    def heads(self, environ: Mapping[str, str], trust: Trust | None = None) -> list[Head]:
        """The heads of all tags; with `trust` of those only that an allowed signer has signed. A remote's tags are fetched."""
        self._fetch(environ)
        return self._heads(environ, f"{TAG}*", trust)

    def readable(self, environ: Mapping[str, str], trust: Trust | None = None) -> tuple[list[Head], list[str]]:
        """What `heads` gives as far as it can be had, and what could not: a remote that does not answer, a tag that does not count."""
        heads, problems = [], []
        try:
            self._fetch(environ)
        except RecordError as exc:
            problems.append(f"only the tags that are here could be read: {exc.message}")
        try:
            names = self._names(environ, f"{TAG}*")
        except RecordError as exc:
            return [], [f"it could not be read: {exc.message}"]
        for name in names:
            try:
                heads.append(self._head(environ, name, trust))
            except (RecordError, BadInput) as exc:
                problems.append(f"the tag {name} was left out: {exc.message}")
        return heads, problems

    def _fetch(self, environ: Mapping[str, str]) -> None:
        if self.remote or b"origin" in self._git(environ, "remote").split():
            spec = f"refs/tags/{TAG}*:refs/tags/{TAG}*"
            self._git(environ, "fetch", "--quiet", "--no-tags", self.remote or "origin", spec)

    def _heads(self, environ: Mapping[str, str], pattern: str, trust: Trust | None = None) -> list[Head]:
        return [self._head(environ, name, trust) for name in self._names(environ, pattern)]

    def _names(self, environ: Mapping[str, str], pattern: str) -> list[str]:
        return self._git(environ, "tag", "--list", pattern).decode().split()

    def _head(self, environ: Mapping[str, str], name: str, trust: Trust | None) -> Head:
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
    """A command of the user's; `read` prints the heads that it kept, one a line."""

    command: Sequence[str]
    read: Sequence[str] = ()
    folder: Path = Path()

    def put(self, head: Head, environ: Mapping[str, str]) -> str:
        """Give the head to the command."""
        _run(self.command, head.line(), environ, self.folder)
        return f"entry {head.number} given to {self.command[0]}"

    def heads(self, environ: Mapping[str, str], trust: Trust | None = None) -> list[Head]:
        """The heads that `read` prints; Inconclusive where there is no such command."""
        if not self.read:
            raise Inconclusive(f"{self.command[0]} cannot say what it has anchored", advice="Set records.anchor.read, or give a head.")
        return [head_from(line) for line in _run(self.read, b"", environ, self.folder).splitlines() if line.strip()]

    def readable(self, environ: Mapping[str, str], trust: Trust | None = None) -> tuple[list[Head], list[str]]:
        """What `heads` gives, or why it gives nothing: what a command prints counts as a whole."""
        try:
            return self.heads(environ, trust), []
        except (RecordError, BadInput, Inconclusive) as exc:
            return [], [f"it could not be read: {exc.message}"]


Anchor = GitTag | Program


def anchor(ledger: Ledger, to: Anchor, *, environ: Mapping[str, str] | None = None) -> tuple[Head, str]:
    """Anchor the ledger's head now; the head, and a sentence that says where it is. RecordError where that fails."""
    try:
        head = ledger.head()
    except OSError as exc:
        raise RecordError(f"the ledger {ledger.location} cannot be read: {exc}", advice="Check its place and your rights there.") from exc
    if head is None:
        raise BadInput(f"{ledger.location} is empty: there is nothing to anchor", advice="Run a runbook first.")
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
        last = (done.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"])[-1]
        message = f"the anchor's command {name} ended with {done.returncode}: {last}"
        raise RecordError(message, advice="The record itself is sealed; run balbook records anchor once that works.")
    return done.stdout
