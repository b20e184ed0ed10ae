"""Files that appear whole or not at all, and outlast a power cut.

The content of a path is written beside it under a private, hidden name, flushed to disk and moved there; then the folder is
flushed too. A reader sees the old file or the new one. Only light modules are imported: every command looks for labs.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


def write_text(path: Path, text: str, *, mode: int | None = None, is_durable: bool = True) -> None:
    """Writes a text as `write_bytes` does, in UTF-8."""
    write_bytes(path, text.encode(), mode=mode, is_durable=is_durable)


def write_bytes(path: Path, data: bytes, *, mode: int | None = None, is_durable: bool = True) -> None:
    """Writes the file at `path`; an existing file is replaced."""
    with replacing(path, mode=mode, is_durable=is_durable) as file:
        file.write(data)


def create(path: Path, data: bytes, *, mode: int | None = None) -> bool:
    """Writes a new file; False, and nothing is written, where the name is taken."""
    try:
        with creating(path, mode=mode) as file:
            file.write(data)
    except FileExistsError:
        return False
    return True


@contextmanager
def replacing(path: Path, *, mode: int | None = None, is_durable: bool = True, is_new: bool = False) -> Iterator[BinaryIO]:
    """A file to fill, which takes the place of `path` once the block has ended well.

    `mode` is set exactly; unset: as the umask has it. `is_durable`: unset for files that are only watched while they are made, by a
    program that must not wait for a disk. `is_new`: see `creating`.
    """
    draft = _draft(path)
    try:
        fd = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666 if mode is None else mode)
        with os.fdopen(fd, "w+b") as file:
            if mode is not None:
                os.fchmod(fd, mode)
            yield file
            file.flush()
            if is_durable:
                os.fsync(fd)
        (os.link if is_new else os.replace)(draft, path)  # a link is made whole or not at all, and never over an existing name
        if is_durable:
            sync(path.parent)
    except OSError as exc:
        if exc.filename in (None, str(draft)):  # the private name tells nobody anything
            exc.filename = str(path)
        raise
    finally:
        with suppress(OSError):
            draft.unlink()


def creating(path: Path, *, mode: int | None = None) -> AbstractContextManager[BinaryIO]:
    """As `replacing`, but never over an existing file: FileExistsError at the end of the block."""
    return replacing(path, mode=mode, is_new=True)


@contextmanager
def new_folder(path: Path, *, mode: int | None = None) -> Iterator[Path]:
    """A folder to fill, which is moved to `path` once the block has ended well; OSError where the name is taken by then."""
    import shutil

    draft = _draft(path)
    draft.mkdir(parents=True)
    try:
        yield draft
        for below in (*draft.rglob("*"), draft):
            sync(below)
        if mode is not None:
            draft.chmod(mode)
        os.rename(draft, path)  # noqa: PTH104 - fails where another one was quicker, which Path.replace would not say
        sync(path.parent)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def sync(path: Path) -> None:
    """Flushes a file, or a folder's names, to disk. Network file systems that cannot flush folders go without."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as exc:
        if exc.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(fd)


def _draft(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.urandom(4).hex()}.new")
