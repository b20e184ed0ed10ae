"""Sources of packages and projects on this machine: a directory, or a commit of a git repository, as one tar archive.

An archive is the same bytes for the same files (no times, owners, order), so its sha256 names the sources. Archives are
kept by that name in a cache folder, since a plan refers to them.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from balbook.errors import BadInput, BalbookError, Failed, Refused, StoreError
from balbook.local.atomic_files import new_folder, write_bytes
from balbook.local.digests import sha256_of

LEFT_OUT = ("target", "generated", ".git")
GIT_S = 120
QUIET = {"GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "true", "SSH_ASKPASS": "true", "GIT_SSH_COMMAND": "ssh -o BatchMode=yes", "LC_ALL": "C"}
"""Variables by which git asks nobody, and speaks English."""
MINE = "Are you allowed to read and write there? `artifacts` in the inventory names the store: a folder of your own will do."


@dataclass(frozen=True)
class Sources:
    """An archive: its origin, its sha256, and the files that planning reads."""

    origin: str
    sha256: str
    archive: Path
    files: Mapping[str, bytes]

    def text(self, name: str) -> str:
        """A file's text; BadInput where it is missing."""
        if name not in self.files:
            raise BadInput(f"{self.origin} has no {name}", advice="Is this a Ballerina package? Make one with bal new.")
        return self.files[name].decode("utf-8", errors="replace")


def is_git(source: str) -> bool:
    """True for `git+URL@ref`, False for a directory."""
    return source.startswith("git+")


def from_directory(directory: Path, cache: Path) -> Sources:
    """The files of a directory, without built ones and git's own."""
    if not directory.is_dir():
        raise BadInput(f"{directory} is not a directory", advice="Name a package's directory, or git+URL@ref.")
    return _archived(str(directory), dict(_files(directory)), cache)


def from_git(source: str, cache: Path, environ: Mapping[str, str] = os.environ) -> Sources:
    """The files of one commit, `git+URL@ref`; never asks for a credential, never shows one.

    A ref is a branch, a tag or a full commit. BadInput for a malformed reference, Failed where git refuses.
    """
    url, ref = parse_reference(source)
    shown = f"git+{_without_user(url)}@{ref}"
    commit = _commit(url, ref, shown, environ)
    content = _archive(url, ref, commit, shown, cache, environ)
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        files = {member.name: _content(tar, member) for member in tar.getmembers() if member.isfile()}
    return _archived(f"{shown} ({commit[:12]})", files, cache)


def unpack_new(archive: Path, directory: Path) -> None:
    """The regular files of a tar archive into a new directory; Refused where the directory exists."""
    if directory.exists():
        raise Refused(f"{directory} exists already", advice="Move it away, or name another directory.")
    with tarfile.open(archive) as tar, new_folder(directory) as draft:
        for member in tar.getmembers():
            path = PurePosixPath(member.name)
            if member.isfile() and not path.is_absolute() and ".." not in path.parts:
                (draft / path).parent.mkdir(parents=True, exist_ok=True)
                (draft / path).write_bytes(_content(tar, member))


@contextlib.contextmanager
def reaching(place: object, advice: str = MINE, errors: type[Exception] = OSError) -> Iterator[None]:
    """Raises StoreError with this advice for these errors that a storage reports about `place`."""
    try:
        yield
    except BalbookError:
        raise
    except errors as exc:
        where, why = getattr(exc, "filename", None) or place, getattr(exc, "strerror", None) or str(exc) or type(exc).__name__
        raise StoreError(f"{where} cannot be read or written: {why}", advice=advice) from exc


def tree_digest(files: Mapping[str, bytes]) -> str:
    """The digest that `commands.ballerina.tree_digest` prints for the same files on a host."""
    lines = "".join(f"{sha256_of(files[name])}  ./{name}\n" for name in sorted(files, key=lambda n: f"./{n}".encode()))
    return sha256_of(lines)


def _files(directory: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(directory.rglob("*")):
        relative = path.relative_to(directory)
        if path.is_file() and not any(part in LEFT_OUT or part.startswith(".balbook-") for part in relative.parts):
            yield relative.as_posix(), path.read_bytes()


def _archived(origin: str, files: dict[str, bytes], cache: Path) -> Sources:
    content = _tar(files)
    sha256 = sha256_of(content)
    archive = cache / f"{sha256}.tar"
    with reaching(cache):
        if not archive.exists():
            cache.mkdir(parents=True, exist_ok=True)
            write_bytes(archive, content)
    return Sources(origin, sha256, archive, files)


def _tar(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in sorted(files):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(files[name]), 0o644
            tar.addfile(member, io.BytesIO(files[name]))
    return buffer.getvalue()


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    return file.read() if file else b""


def parse_reference(source: str) -> tuple[str, str]:
    """The URL and the ref of `git+URL@ref`; BadInput for any other text, and for a URL with a credential. Touches nothing."""
    url, separator, ref = source.removeprefix("git+").rpartition("@")
    is_url = re.fullmatch(r"(https?|ssh|file|git)://[^\s'\";$`<>|&]+", url)
    if not (separator and is_url and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._/+-]*", ref)) or ".." in ref:
        raise BadInput(f"{_without_user(source)!r} is not git+URL@ref", advice="For example git+https://host/acme/rooms.git@v1.2.0.")
    parts = urlsplit(url)
    if parts.password or (parts.username and parts.scheme != "ssh"):
        raise BadInput(f"git+{_without_user(url)}: the address holds a credential", advice="Keep it in git's credential helper instead.")
    return url, ref


def _without_user(url: str) -> str:
    return re.sub(r"//[^/@]*@", "//", url)


def _commit(url: str, ref: str, shown: str, environ: Mapping[str, str]) -> str:
    if re.fullmatch(r"[0-9a-f]{40}", ref):
        return ref
    listed = _git(["ls-remote", "--", url, ref, f"refs/tags/{ref}^{{}}"], shown, environ).decode()
    by_name = {name: commit for commit, _, name in (line.partition("\t") for line in listed.splitlines())}
    for name in (f"refs/tags/{ref}^{{}}", f"refs/tags/{ref}", f"refs/heads/{ref}", ref):
        if name in by_name:
            return by_name[name]
    raise BadInput(f"{shown}: the repository has no such branch, tag or commit", advice="List them: git ls-remote URL.")


def _archive(url: str, ref: str, commit: str, shown: str, cache: Path, environ: Mapping[str, str]) -> bytes:
    """A tar of the commit, through a bare repository in the cache, which makes the next time quick."""
    bare = cache / "git" / sha256_of(url)[:16]
    with reaching(cache):
        if not (bare / "HEAD").exists():
            bare.mkdir(parents=True, exist_ok=True)
            _git(["init", "--quiet", "--bare", str(bare)], shown, environ)
    try:
        _git(["-C", str(bare), "cat-file", "-e", f"{commit}^{{tree}}"], shown, environ)
    except Failed:
        _git(["-C", str(bare), "fetch", "--quiet", "--depth", "1", "--", url, ref], shown, environ)
    return _git(["-C", str(bare), "archive", "--format=tar", commit], shown, environ)


def _git(words: list[str], shown: str, environ: Mapping[str, str]) -> bytes:
    try:
        done = subprocess.run(["git", *words], capture_output=True, env={**environ, **QUIET}, timeout=GIT_S, check=False)
    except FileNotFoundError as exc:
        raise BadInput(f"{shown}: git is not installed here", advice="Install git, or name a directory.") from exc
    except subprocess.TimeoutExpired as exc:
        raise Failed(f"{shown}: git did not answer within {GIT_S} s", advice="Can this machine reach the repository?") from exc
    if done.returncode != 0:
        said = _without_user(done.stderr.decode("utf-8", errors="replace")).strip().splitlines() or ["git said nothing"]
        raise Failed(f"{shown}: git refused: {said[-1]}", advice="Put a needed credential into git's credential helper or the SSH agent.")
    return done.stdout
