"""The needs of a lab of VMs, checked on this machine before anything is made."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from balbook.errors import BadInput
from balbook.lab import needs, vm_host, vm_image
from balbook.local.lab_place import labs_home

BASE = ".base"
"""The folder of the base images in the labs home."""
HOST_MB = 100
"""Free space for the files that a host writes."""
INOTIFY = 6
"""inotify instances that a host needs to come up; all hosts share the limit of root."""


def require_machine(folder: Path, hosts: int, environ: Mapping[str, str]) -> None:
    """Raises BadInput naming the thing that this machine lacks for a lab of VMs; makes nothing."""
    if not sys.platform.startswith("linux"):
        raise BadInput("a lab of VMs needs Linux", advice="Use the loopback lab: balbook lab up.")
    if os.geteuid() != 0:
        raise BadInput("a lab of VMs needs root", advice="Run balbook through sudo, or use the loopback lab: balbook lab up.")
    needs.require(("", "vm"), environ=environ)
    if "overlay" not in _kernel_file_systems():
        raise BadInput(
            "this kernel has no overlay file system",
            advice="Load the module (`modprobe overlay`), or use the loopback lab: balbook lab up.",
        )
    if not vm_host.hierarchies():
        raise BadInput(
            "/sys/fs/cgroup has no control groups",
            advice="Mount the control groups (`mount -t cgroup2`), or use the loopback lab: balbook lab up.",
        )
    standing = next(place for place in (folder, *folder.parents) if place.is_dir())
    if _file_system(standing) in ("overlay", "tmpfs", "nfs"):
        raise BadInput(
            f"{standing} lies on {_file_system(standing)}, and an overlay cannot stand on that file system",
            advice="Set BALBOOK_LAB_HOME to a folder on a disk.",
        )
    watches, most = hosts * INOTIFY + _inotify_in_use(), _inotify_most()
    if watches > most:
        raise BadInput(
            f"a lab of {hosts} VMs needs {watches} inotify instances, those in use included (limit {most})",
            advice=f"Raise the limit (`sysctl fs.inotify.max_user_instances={2 * watches}`), or ask for fewer hosts.",
        )
    has_image = (labs_home(environ) / BASE / vm_image.name_of(vm_image.recipe())).is_dir()
    wanted_mb = hosts * HOST_MB + (0 if has_image else vm_image.SPACE_MB)
    free_mb = _free_mb(standing)
    if free_mb < wanted_mb:
        raise BadInput(
            f"{standing} has {free_mb} MB free; a lab of {hosts} VMs needs {wanted_mb} MB",
            advice="Make room on this disk, or ask for fewer hosts.",
        )


def _inotify_most() -> int:
    return int(Path("/proc/sys/fs/inotify/max_user_instances").read_text())


def _inotify_in_use() -> int:
    """The inotify instances of root's processes, those of running hosts included."""
    count = 0
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if folder.stat().st_uid == 0:
                count += sum(str(entry.readlink()) == "anon_inode:inotify" for entry in (folder / "fd").iterdir())
    return count


def _free_mb(folder: Path) -> int:
    return shutil.disk_usage(folder).free >> 20


def _kernel_file_systems() -> list[str]:
    return Path("/proc/filesystems").read_text().split()


def _file_system(folder: Path) -> str:
    """The kind of the file system of `folder`."""
    lines = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    over = [words for words in lines if folder.is_relative_to(words[1].replace("\\040", " "))]
    return max(over, key=lambda words: len(words[1]))[2] if over else ""
