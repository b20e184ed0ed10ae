"""Files and directories on a host."""

from __future__ import annotations

from balbook.commands.command import Command, hosted, script
from balbook.secrets.secret_ref import Text


def put_file(path: str, content: Text, mode: str = "0644", *, is_privileged: bool = False) -> Command:
    """Writes `content` to a file beside `path` and moves it there."""
    return hosted("put-file", path, mode, stdin=content, is_privileged=is_privileged)


def is_there(path: str, sha256: str, *, is_privileged: bool = False) -> Command:
    """Exit 0 where the file has that content."""
    return hosted("is-there", path, sha256, is_privileged=is_privileged, after=("sha256",))


def receive_file(path: str, sha256: str, mode: str, *, is_privileged: bool = False) -> Command:
    """Receives a file on standard input, and moves it to `path` only with the right sha256."""
    return hosted("receive-file", path, sha256, mode, after=("sha256",), is_privileged=is_privileged)


def make_directories(paths: list[str], mode: str = "0755", *, is_privileged: bool = False) -> Command:
    """Makes the directories, with that mode."""
    return hosted("directory", mode, *paths, is_privileged=is_privileged)


def are_directories(paths: list[str], *, is_privileged: bool = False) -> Command:
    """Exit 0 where every path is a directory that this user (root, where privileged) may write to."""
    text = 'for p in "$@"; do [ -d "$p" ] && [ -w "$p" ] || exit 1; done'
    return script("are-directories", text, *paths, is_privileged=is_privileged)


def make_directories_of_login(paths: list[str]) -> Command:
    """Makes directories that the login itself may write to, although their parent may be root's."""
    text = 'mkdir -p "$@" && [ -z "${SUDO_UID:-}" ] || chown "$SUDO_UID:$SUDO_GID" "$@"'
    return script("directory", text, "0755", *paths, is_privileged=True)
