"""Releases on a host, and which of them an instance points to. Privileged, since all of it is root's where there is privilege.

ROOT/APPLICATION/artifacts/SHA256                one file for all releases of the same artifact
ROOT/APPLICATION/releases/RELEASE/app.jar        (or `app`) a hard link to it
                                 /PORT/Config.toml, environment, java_options
                                 /REVISION       JSON; written last, so a release without it is a draft
                                 /PROVEN         when it first served healthily
ROOT/APPLICATION/instances/PORT/current          link to a release
                               /pid, log/current.log
ROOT/APPLICATION/lock                            the lease
"""

from __future__ import annotations

from balbook.commands import host_script
from balbook.commands.command import Command, script


def begin_release(release_dir: str, artifact: str, name: str) -> Command:
    """An empty draft of the release with the artifact in it as `name`."""
    return script("begin-release", host_script("begin_release"), release_dir, artifact, name, is_privileged=True)


def finish_release(release_dir: str, revision: str, account: str = "") -> Command:
    """The draft becomes the release; its configuration is for `account` alone to read, where one is named."""
    return script("finish-release", host_script("finish_release"), release_dir, account, stdin=(revision,), is_privileged=True)


def is_release(release_dir: str) -> Command:
    """Exit 0 where the release is complete."""
    return script("is-release", '[ -f "$1/REVISION" ]', release_dir, is_privileged=True)


def is_private(release_dir: str) -> Command:
    """Exit 0 where nobody but their owner may read the files of the release's configuration."""
    text = 'found=$(find "$1" -mindepth 2 -type f -perm /077) && [ -z "$found" ] || { echo "others may read: $found"; exit 1; }'
    return script("is-private", text, release_dir, is_privileged=True)


def switch(link: str, release_dir: str) -> Command:
    """The link points to the release from one moment to the next."""
    return script("switch", host_script("switch"), link, release_dir, is_privileged=True)


def points_to(link: str, release_dir: str) -> Command:
    """Exit 0 where the link points to the release."""
    return script("points-to", '[ "$(readlink "$1")" = "$2" ]', link, release_dir, is_privileged=True)


def unlink(link: str) -> Command:
    """The link is gone; the release stays."""
    return script("unlink", 'rm -f -- "$1"', link, is_privileged=True)


def mark_proven(release_dir: str) -> Command:
    """Records that the release serves healthily, with the host's time (seconds since 1970)."""
    return script("mark-proven", host_script("mark_proven"), "mark", release_dir, is_privileged=True)


def is_proven(release_dir: str) -> Command:
    """Exit 0 where the release has served healthily, and is the last one that did."""
    return script("mark-proven", host_script("mark_proven"), "check", release_dir, is_privileged=True)


def prune(application_dir: str, keep: int, protected: list[str]) -> Command:
    """Removes the oldest releases beyond `keep`; never a protected one or one in use."""
    return script("prune", host_script("prune"), "remove", application_dir, keep, *protected, is_privileged=True)


def is_pruned(application_dir: str, keep: int, protected: list[str]) -> Command:
    """Exit 0 where `prune` would remove nothing."""
    return script("prune", host_script("prune"), "check", application_dir, keep, *protected, is_privileged=True)


def inspect(application_dir: str) -> Command:
    """Prints releases, instances and artifacts; parsed by `facts.releases`."""
    return script("inspect", host_script("inspect"), application_dir, is_privileged=True)
