"""The storages behind a registry: a directory, S3-compatible storage by fsspec, a raw HTTP repository. SFTP is in the room `transport`."""

from __future__ import annotations

import contextlib
import importlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO
from urllib.parse import quote, unquote, urlsplit

from balbook.artifacts.registry import Files, Registry
from balbook.artifacts.sources import reaching
from balbook.errors import BadInput, StoreError, nearest
from balbook.inventory.words import REGISTRY_SCHEMES
from balbook.local.atomic_files import creating
from balbook.local.http import Answer, ask

WITHIN_S = 3600.0
"""Enough for the largest artifact over the slowest line."""
LOOPBACK = ("127.0.0.1", "::1", "localhost")


def open_registry(location: str, *, credentials: str = "", base: Path | None = None) -> Registry:
    """The registry at a URL or a directory (relative to `base`). `credentials`: `user:password` for HTTP, the value itself.

    BadInput for an unknown scheme, or where credentials would cross a network in clear. Connects to nothing.
    """
    scheme, separator, rest = location.partition("://")
    if not separator:
        return Registry(FolderFiles((base or Path()) / Path(location).expanduser()), location)
    if scheme not in REGISTRY_SCHEMES:
        raise BadInput(f"{location}: {scheme!r} is not the scheme of a registry", advice=nearest(scheme, REGISTRY_SCHEMES))
    parts = urlsplit(location)
    if parts.password:
        raise BadInput(
            f"{scheme}://{parts.hostname}: the address contains a password",
            advice="Give a reference in `credentials`: env:NAME or file:PATH.",
        )
    files: Files
    match scheme:
        case "file":
            files = FolderFiles(Path(unquote(rest)))
        case "s3":
            files = ObjectFiles(location)
        case "sftp":
            from balbook.transport.sftp import SftpFiles

            files = SftpFiles(parts.hostname or "", parts.port or 0, parts.username or "", unquote(parts.path) or ".")
        case _:
            if credentials and scheme == "http" and parts.hostname not in LOOPBACK:
                raise BadInput(f"{location}: credentials would cross the network in clear", advice="Use https.")
            files = HttpFiles(location, credentials)
    return Registry(files, location)


class FolderFiles:
    """A local or shared directory."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def fetch(self, name: str, target: Path) -> bool:
        with self._reaching(name):
            if is_there := (self._root / name).is_file():
                shutil.copyfile(self._root / name, target)
            return is_there

    def create(self, name: str, source: Path) -> bool:
        path = self._root / name
        with self._reaching(name):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with creating(path, mode=0o444) as file, source.open("rb") as content:
                    shutil.copyfileobj(content, file)
            except FileExistsError:
                return False
        return True

    def children(self, name: str) -> list[str] | None:
        with self._reaching(name):
            folder = self._root / name
            return sorted(p.name for p in folder.iterdir() if not p.name.startswith(".")) if folder.is_dir() else []

    def _reaching(self, name: str) -> contextlib.AbstractContextManager[None]:
        return reaching(self._root / name, "Is it mounted, is there space, and may you write there?")


class ObjectFiles:
    """Objects by fsspec."""

    def __init__(self, url: str) -> None:
        try:
            fsspec = importlib.import_module("fsspec")
            self._files, self._prefix = fsspec.url_to_fs(url.rstrip("/"))
        except (ImportError, ValueError) as exc:
            raise BadInput(f"the registry {url} cannot be opened: {exc}", advice="Run pip install 'balbook[s3]'") from exc
        self._url = url.rstrip("/")

    def fetch(self, name: str, target: Path) -> bool:
        with self._reaching(name), contextlib.suppress(FileNotFoundError):
            self._files.get_file(f"{self._prefix}/{name}", str(target))
            return True
        return False

    def create(self, name: str, source: Path) -> bool:
        with self._reaching(name):
            try:
                self._files.pipe_file(f"{self._prefix}/{name}", source.read_bytes(), mode="create")
            except FileExistsError:
                return False
        return True

    def children(self, name: str) -> list[str] | None:
        with self._reaching(name), contextlib.suppress(FileNotFoundError):
            found = self._files.ls(f"{self._prefix}/{name}", detail=False, refresh=True)
            return sorted(path.rstrip("/").rpartition("/")[2] for path in found)
        return []

    def _reaching(self, name: str) -> contextlib.AbstractContextManager[None]:
        # Exception: of fsspec's backends each has errors of its own beside OSError.
        return reaching(f"{self._url}/{name}", "Is the address right, and do the credentials allow it?", Exception)


class HttpFiles:
    """A raw repository (Nexus, Artifactory, WebDAV): GET, HEAD and PUT. It cannot be listed."""

    def __init__(self, url: str, credentials: str) -> None:
        self._url, self._credentials = url.rstrip("/"), credentials

    def fetch(self, name: str, target: Path) -> bool:
        with self._asked("GET", name) as answer:
            if answer is None:
                return False
            with target.open("wb") as file:
                file.writelines(answer.content)
            return True

    def create(self, name: str, source: Path) -> bool:
        if self._is_there(name):
            return False
        try:
            with source.open("rb") as content, self._asked("PUT", name, content) as answer:
                return answer is not None
        except _Rejected as exc:  # who came first in the meantime, or the repository's own rule against replacing
            if exc.status in (400, 403, 409, 412) and self._is_there(name):
                return False
            raise

    def children(self, name: str) -> list[str] | None:
        return None

    def _is_there(self, name: str) -> bool:
        with self._asked("HEAD", name) as answer:
            return answer is not None

    @contextlib.contextmanager
    def _asked(self, method: str, name: str, content: IO[bytes] | None = None) -> Iterator[Answer | None]:
        """The answer; None for 404. StoreError for any other failure."""
        address = f"{self._url}/{quote(name)}"
        headers = {"Content-Type": "application/octet-stream", "If-None-Match": "*"} if content else {}

        def failed(why: str) -> StoreError:
            return StoreError(f"{address}: {why}", advice="Is the address right, and does the server run?")

        with ask(
            method, address, within_s=WITHIN_S, failed=failed, content=content, headers=headers, credentials=self._credentials
        ) as answer:
            if answer.status >= 300 and (answer.status != 404 or method == "PUT"):
                raise _Rejected(address, answer.status, answer.reason)
            yield answer if answer.status < 300 else None


class _Rejected(StoreError):
    """The server's answer to a request that it did not carry out."""

    def __init__(self, address: str, status: int, reason: str) -> None:
        advice = {401: "Are the credentials given, and right?", 403: "Is this user allowed to do that?"}
        super().__init__(f"{address}: {status} {reason}", advice=advice.get(status, "Ask the person who runs the repository."))
        self.status = status
