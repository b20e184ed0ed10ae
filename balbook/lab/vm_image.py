"""The base image of the lab's VMs: a Debian made once by `debootstrap`, named by the digest of its recipe.

The image lies in `<labs home>/.base/<digest>/`: `root` is the file system, `contents` the digest of all files, compared before every
use. Hosts stand on the image through overlays and never write to it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from balbook.errors import Failed, Refused
from balbook.lab import folders
from balbook.lab.folders import Say
from balbook.local.digests import sha256_of

SUITE = "bookworm"
LOGIN, LOGIN_ID = "ops", 1000
PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "openssh-server", "sudo", "iproute2", "nftables", "procps"),
    *("nginx", "haproxy", "openjdk-17-jre-headless", "curl", "socat", "unzip", "ca-certificates"),
    "python3",  # the lab's `bal` is a Python program
    *("locales", "libfaketime", "tcsh"),  # for hosts that are odd: see `vm_odd`
)
FURNISH = """set -eu
useradd --create-home --shell /bin/bash --uid "$2" "$1"
usermod --password '*' "$1"
echo "$1 ALL=(ALL) NOPASSWD: ALL" > "/etc/sudoers.d/$1"
chmod 440 "/etc/sudoers.d/$1"
printf '%s\\n' 'PasswordAuthentication no' 'KbdInteractiveAuthentication no' 'UseDNS no' 'MaxStartups 500' 'MaxSessions 500' \\
  > /etc/ssh/sshd_config.d/lab.conf
rm -f /etc/ssh/ssh_host_* /etc/resolv.conf
: > /etc/machine-id
# Installed, and for the runbooks to enable and start.
systemctl --quiet disable nginx.service haproxy.service
systemctl --quiet mask getty.target console-getty.service apt-daily.timer apt-daily-upgrade.timer \\
  e2scrub_reap.service e2scrub_all.timer fstrim.timer
echo 'de_DE.UTF-8 UTF-8' > /etc/locale.gen
locale-gen > /dev/null
apt-get clean
rm -rf /var/lib/apt/lists/* /usr/share/doc/* /usr/share/man/*
find /usr/share/locale -mindepth 1 -maxdepth 1 ! -name de -exec rm -rf {} +
"""
"""Constant; $1 is the login, $2 its number."""
SAY_EVERY_S = 5.0
BUILD_WITHIN_S = 1200
UNSHARED = ("setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--")
"""The words before an argv after which no mount is left, and no process where this one ends."""
MOUNTS = Path("/proc/self/mounts")
LOWEST = ("lowerdir", "lowerdir+")
"""The options of an overlay that name the lowest layer."""
SPACE_MB = 1500
"""Free space for making the image, which then has 650 MB."""


def recipe(sources: Path = Path("/etc/apt")) -> dict[str, object]:
    """The recipe of the image, as data."""
    return {"version": 2, "suite": SUITE, "mirror": mirror(sources), "packages": PACKAGES, "furnish": FURNISH, "login": [LOGIN, LOGIN_ID]}


def name_of(made_from: dict[str, object]) -> str:
    """The digest of a recipe."""
    return sha256_of(json.dumps(made_from, sort_keys=True))[:16]


def mirror(sources: Path) -> str:
    """The mirror of Debian in this machine's apt sources; empty without one, and then debootstrap takes its own."""
    beside = sources / "sources.list.d"
    for file in [sources / "sources.list", *sorted(beside.glob("*.list")), *sorted(beside.glob("*.sources"))]:
        text = file.read_text(errors="replace") if file.is_file() else ""
        if found := _in_sources(text) if file.suffix == ".sources" else _in_list(text):
            return found
    return ""


def is_whole(image: Path) -> bool:
    """True where the image is there, unchanged since it was made."""
    try:
        return (image / "contents").read_text() == contents(image / "root")
    except OSError:
        return False


def provide(base: Path, say: Say, in_use: Mapping[str, str] | None = None) -> Path:
    """The image of the present recipe below `base`, made where it is missing or damaged; unused images are removed.

    `in_use`: the image in the state of each lab; images under hosts of other labs are seen by the mounts. Raises Refused where a
    damaged image is in use, Failed with the end of debootstrap's log.
    """
    made_from = recipe()
    image = base / name_of(made_from)
    for other in base.iterdir() if base.is_dir() else []:
        if other != image and not _users(other, in_use or {}):
            folders.remove(other)
    if is_whole(image):
        return image
    if image.exists():
        if labs := _users(image, in_use or {}):
            raise Refused(
                f"the base image {image} is damaged or was changed, and hosts of lab {', '.join(labs)} use this image",
                advice="Take these hosts down first: balbook lab down --name NAME",
            )
        say("The base image is damaged or was changed; making a new one")
        folders.remove(image)
    draft = base / f"{image.name}.part"
    draft.mkdir(parents=True, mode=0o700)
    try:
        _make(draft, str(made_from["mirror"]), say)
        (draft / "recipe.json").write_text(json.dumps(made_from, indent=1))
        (draft / "contents").write_text(contents(draft / "root"))
        draft.rename(image)
    except BaseException:
        folders.remove(draft)
        raise
    return image


def _users(image: Path, in_use: Mapping[str, str]) -> list[str]:
    """The labs that use an image, by their states and by the mounts of their hosts; a lab of another labs home by its folder."""
    home, root = image.parent.parent, (image / "root").resolve()
    found = {lab for lab, name in in_use.items() if name == image.name}
    for line in MOUNTS.read_text().splitlines() if MOUNTS.exists() else []:
        _, place, kind, options = line.split()[:4]
        lowest = [Path(value).resolve() for word, _, value in (o.partition("=") for o in options.split(",")) if word in LOWEST]
        if kind == "overlay" and root in lowest:
            lab = Path(place).parents[2]
            found.add(lab.name if lab.parent == home else str(lab))
    return sorted(found)


def contents(root: Path) -> str:
    """A digest of every name, kind, owner, size, time of change and link below `root`; the files' bytes are left out for speed."""
    digest = hashlib.sha256()
    for folder, names, files in os.walk(root):
        names.sort()
        for name in sorted([*names, *files]):
            path = f"{folder}/{name}"
            seen = os.lstat(path)
            facts: list[object] = [seen.st_mode, seen.st_uid, seen.st_gid, seen.st_size, seen.st_mtime_ns]
            facts += [Path(path).readlink()] if stat.S_ISLNK(seen.st_mode) else []
            digest.update(f"{path[len(str(root)) :]} {' '.join(map(str, facts))}\n".encode())
    return digest.hexdigest()


def _make(draft: Path, source: str, say: Say) -> None:
    say(f"Making the base image, once: Debian {SUITE} with {len(PACKAGES)} packages and their dependencies")
    root = draft / "root"
    began = time.monotonic()
    argv = ["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, str(root), *([source] if source else [])]
    _followed(argv, draft / "log", say)
    _followed(["chroot", str(root), "sh", "-c", FURNISH, "furnish", LOGIN, str(LOGIN_ID)], draft / "log", say)
    shutil.rmtree(root / "debootstrap", ignore_errors=True)
    say(f"The base image is made, in {time.monotonic() - began:.0f} s")


def _followed(argv: list[str], log: Path, say: Say) -> None:
    """Runs a command in a mount namespace of its own, so that no mount is left, and says every few seconds how far the command is."""
    # Without TMPDIR and the like: an inherited environment is not part of the recipe.
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive", "HOME": "/root"}
    done: Counter[str] = Counter()
    said = time.monotonic()
    with log.open("a") as file:
        process = subprocess.Popen(
            [*UNSHARED, *argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
        )
        with _bounded(process) as is_late:
            for line in process.stdout or []:
                file.write(line)
                word = line.removeprefix("I: ").split(" ", 1)[0].lower()
                done[word] += 1
                if time.monotonic() - said > SAY_EVERY_S and word in ("retrieving", "extracting", "unpacking", "configuring"):
                    said = time.monotonic()
                    say(f"  {word} package {done[word]}")
            status = process.wait()
    if status != 0 and is_late.is_set():
        raise Failed(f"{argv[0]} did not end within {BUILD_WITHIN_S} s", advice="Look whether the package mirror is slow, then try again.")
    if status != 0:
        raise Failed(
            f"{argv[0]} ended with status {status}:\n{folders.tail(log)}",
            advice="Look whether `apt-get update` works on this machine.",
        )


@contextmanager
def _bounded(process: subprocess.Popen[str]) -> Iterator[threading.Event]:
    """Kills the process at the end of its time, a silent one too, and on an error of this process. The event tells a late end."""
    is_late = threading.Event()

    def give_up() -> None:
        is_late.set()
        process.kill()

    ending = threading.Timer(BUILD_WITHIN_S, give_up)
    ending.start()
    try:
        yield is_late
    except BaseException:
        process.kill()
        process.wait()
        raise
    finally:
        ending.cancel()


def _in_list(text: str) -> str:
    """The first archive with the suite in lines of `deb [options] URI SUITE COMPONENTS`."""
    for line in text.splitlines():
        words = line.split("#")[0].replace("[", " [ ").replace("]", " ] ").split()
        if "[" in words and "]" in words:
            words = words[: words.index("[")] + words[words.index("]") + 1 :]
        if len(words) >= 4 and words[0] == "deb" and words[2] == SUITE and "main" in words[3:]:
            return words[1].rstrip("/")
    return ""


def _in_sources(text: str) -> str:
    """The first archive with the suite in stanzas of `Types:`, `URIs:`, `Suites:`, `Components:`."""
    for stanza in text.split("\n\n"):
        lines = [line for line in stanza.splitlines() if ":" in line and not line.startswith(("#", " "))]
        fields = {key.strip().lower(): value.split() for key, _, value in (line.partition(":") for line in lines)}
        is_on = fields.get("enabled", ["yes"]) != ["no"]
        if is_on and "deb" in fields.get("types", []) and SUITE in fields.get("suites", []) and "main" in fields.get("components", []):
            return fields["uris"][0].rstrip("/")
    return ""
