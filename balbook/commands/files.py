"""Files and directories on a host."""

from __future__ import annotations

from balbook.command import Command, Text, script
from balbook.commands import host_script


def put_file(path: str, content: Text, mode: str = "0644", *, is_privileged: bool = False) -> Command:
    """`content` to `path`, written beside and moved into place."""
    return script("put-file", host_script("put_file"), path, mode, stdin=content, is_privileged=is_privileged)


def is_there(path: str, sha256: str, *, is_privileged: bool = False) -> Command:
    """Exit 0 where the file has that content."""
    return script("is-there", host_script("is_there"), path, sha256, is_privileged=is_privileged)


def make_directories(paths: list[str], mode: str = "0755", *, is_privileged: bool = False) -> Command:
    """The directories with that mode."""
    return script("directory", host_script("directory"), mode, *paths, is_privileged=is_privileged)


def are_directories(paths: list[str]) -> Command:
    """Exit 0 where every path is a writable directory."""
    return script("are-directories", 'for p in "$@"; do [ -d "$p" ] && [ -w "$p" ] || exit 1; done', *paths)
