"""A registry's files on an SFTP server: the user's own keys, and only a server whose key is known."""

from __future__ import annotations

import contextlib
import getpass
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import paramiko

from balbook.errors import StoreError
from balbook.transport.login import Endpoint, log_in, ssh_config

PORT = 22


class SftpFiles:
    """Files below `root`. Connects when first needed; `~/.ssh/config` completes the address."""

    def __init__(self, host: str, port: int, user: str, root: str, *, identities: tuple[str, ...] = (), known_hosts: str = "") -> None:
        given = ssh_config(Path("~/.ssh/config").expanduser()).lookup(host)
        files = [known_hosts] if known_hosts else [str(Path("~/.ssh/known_hosts").expanduser())]
        self._endpoint = Endpoint(
            name=host,
            hostname=given.get("hostname", host),
            port=port or int(given.get("port", PORT)),
            user=user or given.get("user", getpass.getuser()),
            identities=identities or tuple(given.get("identityfile", ())),
            known_hosts=tuple(files),
        )
        self._root = root.rstrip("/") or "/"
        self._client: paramiko.SSHClient | None = None
        self._session: paramiko.SFTPClient | None = None

    def fetch(self, name: str, target: Path) -> bool:
        with self._translated(name), contextlib.suppress(FileNotFoundError):
            self._sftp().get(self._path(name), str(target))
            return True
        return False

    def create(self, name: str, source: Path) -> bool:
        """Writes the file beside and renames it; SFTP's own rename never replaces a file."""
        with self._translated(name):
            sftp, path = self._sftp(), self._path(name)
            if self._is_there(path):
                return False
            self._make_folders(path.rpartition("/")[0])
            draft = f"{path.rpartition('/')[0]}/.{secrets.token_hex(8)}.new"
            try:
                sftp.put(str(source), draft, confirm=True)
                sftp.rename(draft, path)
                return True
            except OSError:
                with contextlib.suppress(OSError):
                    sftp.remove(draft)
                if self._is_there(path):
                    return False
                raise
        raise AssertionError("unreachable")

    def children(self, name: str) -> list[str] | None:
        with self._translated(name), contextlib.suppress(FileNotFoundError):
            return sorted(entry for entry in self._sftp().listdir(self._path(name)) if not entry.startswith("."))
        return []

    def close(self) -> None:
        """Ends the connection."""
        if self._client:
            self._client.close()
        self._client = self._session = None

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _sftp(self) -> paramiko.SFTPClient:
        if self._session is None:
            self._client = log_in(self._endpoint, self._endpoint.connect)
            self._session = self._client.open_sftp()
        return self._session

    def _is_there(self, path: str) -> bool:
        mode = self._mode(path)
        return mode is not None and not stat.S_ISDIR(mode)

    def _mode(self, path: str) -> int | None:
        with contextlib.suppress(FileNotFoundError):
            return self._sftp().stat(path).st_mode or 0
        return None

    def _make_folders(self, path: str) -> None:
        for folder in [*map(str, reversed(PurePosixPath(path).parents)), path]:
            if self._mode(folder) is None:
                with contextlib.suppress(OSError):  # another publisher may have made it meanwhile; the upload would say otherwise
                    self._sftp().mkdir(folder)

    @contextlib.contextmanager
    def _translated(self, name: str) -> Iterator[None]:
        try:
            yield
        except (OSError, EOFError, paramiko.SSHException) as exc:
            why = os.strerror(exc.errno) if isinstance(exc, OSError) and exc.errno else str(exc) or type(exc).__name__
            where = f"sftp://{self._endpoint.hostname}:{self._endpoint.port}{self._path(name)}"
            raise StoreError(f"{where}: {why}", advice="Does the disk have space, and may this user write there?") from exc
