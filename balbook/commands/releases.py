"""Releases on a host, and which of them an instance points to. Privileged: where balbook has privilege, root owns them all.

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

from balbook.commands.command import Command, hosted, script


def begin_release(release_dir: str, artifact: str, name: str) -> Command:
    """Makes an empty draft of the release, with the artifact in it as `name`."""
    return hosted("begin-release", release_dir, artifact, name, is_privileged=True)


def finish_release(release_dir: str, revision: str, account: str = "") -> Command:
    """Makes the draft the release; only `account`, where one is named, may read its configuration."""
    return hosted("finish-release", release_dir, account, stdin=(revision,), is_privileged=True)


def is_release(release_dir: str) -> Command:
    """Exit 0 where the release is complete."""
    return script("is-release", '[ -f "$1/REVISION" ]', release_dir, is_privileged=True)


def is_private(release_dir: str) -> Command:
    """Exit 0 where only their owner may read the files of the release's configuration."""
    text = 'found=$(find "$1" -mindepth 2 -type f -perm /077) && [ -z "$found" ] || { echo "other users can read: $found"; exit 1; }'
    return script("is-private", text, release_dir, is_privileged=True)


def switch(link: str, release_dir: str) -> Command:
    """Points the link to the release, in one step that no reader sees half done."""
    return hosted("switch", link, release_dir, is_privileged=True)


def points_to(link: str, release_dir: str) -> Command:
    """Exit 0 where the link points to the release."""
    return script("points-to", '[ "$(readlink "$1")" = "$2" ]', link, release_dir, is_privileged=True)


def unlink(link: str) -> Command:
    """Removes the link; the release stays."""
    return script("unlink", 'rm -f -- "$1"', link, is_privileged=True)


def mark_proven(release_dir: str) -> Command:
    """Records that the release serves healthily, with the host's time (seconds since 1970)."""
    return hosted("mark-proven", "mark", release_dir, is_privileged=True)


def is_proven(release_dir: str) -> Command:
    """Exit 0 where the release is the last one that came to serve healthily."""
    return hosted("mark-proven", "check", release_dir, is_privileged=True)


def prune(application_dir: str, keep: int, protected: list[str]) -> Command:
    """Removes the oldest releases beyond `keep`, but no protected release and none in use."""
    return hosted("prune", "remove", application_dir, keep, *protected, is_privileged=True)


def is_pruned(application_dir: str, keep: int, protected: list[str]) -> Command:
    """Exit 0 where `prune` would remove nothing."""
    return hosted("prune", "check", application_dir, keep, *protected, is_privileged=True)


def inspect(application_dir: str) -> Command:
    """Prints releases, instances and artifacts; parsed by `facts.releases`."""
    return hosted("inspect", application_dir, after=("instance",), is_privileged=True)
