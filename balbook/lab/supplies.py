"""The supplies of a lab's build host: a distribution to install, a Central, and packages to build.

The distribution is a zip like the real one, with the lab's `bal` in it. Central is a process of the lab's. The packages are
three git repositories (plain directories on a machine without git), made from the project's sample.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from balbook.errors import Failed
from balbook.lab.ballerina.bal import write_launcher
from balbook.lab.ballerina.jar import SHIPPED_CLASSES, runtime_classes
from balbook.lab.ballerina.native import make_graalvm
from balbook.lab.ballerina.package import DISTRIBUTION
from balbook.lab.folders import tail
from balbook.lab.needs import find_program
from balbook.local.digests import sha256_of_file
from balbook.local.processes import MARKER, identity
from balbook.local.resources import resource

PACKAGES = ("rooms", "bookings", "payments")
ORG = "acme"
APPLICATION = "hotel"
BRANCH = "main"
START_WITHIN_S = 15.0
SERVE = 'given=$1 log=$2; shift 2; "$@" < "$given" >> "$log" 2>&1 & echo $!'
"""Starts a service that outlives the shell, so that no process has to wait for its end."""


@dataclass(frozen=True)
class Supplies:
    """The places of a lab's supplies; `lab` is the lab's folder, `port` and `address` are Central's.

    `has_library`: the distribution brings the modules of its `bal`, for hosts that do not see this machine's files.
    """

    lab: Path
    port: int
    address: str = "127.0.0.1"
    has_library: bool = False

    @property
    def central_url(self) -> str:
        return f"http://{self.address}:{self.port}/2.0/registry"

    @property
    def distribution(self) -> Path:
        return self.lab / "distribution" / f"ballerina-{DISTRIBUTION}-swan-lake.zip"

    @property
    def token(self) -> Path:
        return self.lab / "central.token"

    @property
    def graalvm(self) -> Path:
        """The `GRAALVM_HOME` of hosts that see this machine's files."""
        return self.lab / "graalvm"

    @property
    def repositories(self) -> Path:
        return self.lab / "repositories"

    def inventory(self, environ: Mapping[str, str]) -> dict[str, Any]:
        """The part of the lab's inventory about the supplies: Central, and defaults for parameters of runbooks."""
        return {
            "central": {"token": f"file:{self.token.name}", "url": self.central_url},
            "defaults": {
                "*": {"application": APPLICATION},
                "install": {"version": DISTRIBUTION, "source": str(self.distribution)},
                "pack_push": {"packages": self.sources(environ)},
            },
        }

    def sources(self, environ: Mapping[str, str]) -> list[str]:
        """The packages' sources as `pack_push` takes them."""
        if find_program("git", environ):
            return [f"git+file://{self.repositories}/{name}@{BRANCH}" for name in PACKAGES]
        return [str(self.repositories / name) for name in PACKAGES]


def prepare(supplies: Supplies, environ: Mapping[str, str]) -> None:
    """Writes all supplies but Central, which is a process: see `start_central`."""
    make_distribution(supplies.distribution, supplies.central_url, has_library=supplies.has_library)
    supplies.token.touch(mode=0o600)
    supplies.token.write_text(secrets.token_hex(16) + "\n")
    if not supplies.has_library:
        make_graalvm(supplies.graalvm)
    for name in PACKAGES:
        shutil.copytree(resource("templates", "sample", name), supplies.repositories / name)
    shutil.copytree(resource("templates", "sample", APPLICATION), supplies.lab / APPLICATION)
    if git := find_program("git", environ):
        for name in PACKAGES:
            _commit(git, supplies.repositories / name)


def make_distribution(path: Path, central_url: str, *, has_library: bool = False) -> Path:
    """A zip with `bin/bal`, and its sha256 beside it as `openssl dgst` prints it."""
    top = f"ballerina-{DISTRIBUTION}-swan-lake"
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        # BALLERINA_HOME_DIR is the host's own, from its session.
        launcher = write_launcher(Path(folder) / "bal", {"BALBOOK_LAB_CENTRAL": central_url}, has_library=has_library)
        archive.write(launcher, f"{top}/bin/bal")
        for name, file in _library().items() if has_library else ():
            archive.write(file, f"{top}/lib/{name}")
    digest = sha256_of_file(path)
    path.with_name(f"{path.name}.sha256").write_text(f"SHA2-256({path.name})= {digest}\n")
    return path


def raise_version(repositories: Path, package: str, version: str, environ: Mapping[str, str]) -> None:
    """Writes the next version of a package and commits it in the package's repository."""
    repository = repositories / package
    path = repository / "Ballerina.toml"
    text, changed = re.subn(r'(?m)^version = ".*"$', f'version = "{version}"', path.read_text(encoding="utf-8"))
    if not changed:
        raise Failed(f"{path}: the version is missing", advice="The file was edited. Take the lab down and up again.")
    path.write_text(text, encoding="utf-8")
    if (git := find_program("git", environ)) and (repository / ".git").is_dir():
        _commit(git, repository, f"Version {version}")


def _library() -> dict[str, Path]:
    """The modules that `bal` imports, and the classes that it puts into jars, since hosts have no JDK; by name in the archive."""
    package = Path(__file__).parents[1]
    named = ("__init__", "errors", "local/__init__", "local/names", "local/atomic_files", "lab/__init__")
    modules = [package / f"{name}.py" for name in named]
    modules += sorted((package / "lab" / "ballerina").rglob("*.*"))
    files = {str(file.relative_to(package.parent)): file for file in modules if file.is_file() and file.suffix != ".pyc"}
    shipped = SHIPPED_CLASSES.relative_to(package.parent)
    return files | {str(shipped / file.name): file for file in runtime_classes().glob("*.class")}


def start_central(supplies: Supplies, way: Sequence[str] = ()) -> tuple[int, str]:
    """Starts Central for packages of `acme` and waits until it listens; pid and identity. Raises Failed with the end of the log.

    `way`: words before the argv of Central, which put it into another network.
    """
    place = supplies.lab / "central"
    place.mkdir(mode=0o700, exist_ok=True)
    tokens = place / ".tokens.json"
    tokens.touch(mode=0o600)
    tokens.write_text(json.dumps({supplies.token.read_text().strip(): [ORG]}))
    argv = [*way, sys.executable, "-m", "balbook.lab.ballerina.central", str(place / "packages"), str(supplies.port), supplies.address]
    return serve(argv, supplies.lab, supplies.lab / "central.log", (supplies.address, supplies.port), tokens)


def serve(argv: Sequence[str], lab: Path, log: Path, place: tuple[str, int], given: Path = Path(os.devnull)) -> tuple[int, str]:
    """Starts a service of the lab and waits until it listens; pid and identity. Raises Failed with the end of the log.

    `given`: the file that is its standard input.
    """
    source = f"{Path(__file__).parents[2]}:{os.environ.get('PYTHONPATH', '')}"
    shell = ["sh", "-c", SERVE, log.stem, str(given), str(log), *argv]
    environment = {**os.environ, "PYTHONPATH": source, MARKER: str(lab)}
    started = subprocess.run(
        shell, env=environment, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, check=True, start_new_session=True
    )
    pid = int(started.stdout)
    born = identity(pid)
    deadline = time.monotonic() + START_WITHIN_S
    while born and identity(pid) == born and time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(place, timeout=1):
            return pid, born
        time.sleep(0.01)
    raise Failed(
        f"the lab's {log.stem} does not start on {place[0]}:{place[1]}: {tail(log)}",
        advice="Try `balbook lab up` again; another program may have taken the port.",
    )


def _commit(git: Path, repository: Path, message: str = "The sample package") -> None:
    """Commits all files of the folder; nothing of this user's git configuration counts."""
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("GIT_")},
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
    }
    author = ["-c", "user.name=balbook lab", "-c", "user.email=lab@example.invalid", "-c", "commit.gpgsign=false"]
    for words in (
        ["-c", f"init.defaultBranch={BRANCH}", "init", "--quiet"],
        ["add", "--all"],
        [*author, "commit", "--quiet", "--message", message],
    ):
        done = subprocess.run([str(git), *words], cwd=repository, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Failed(f"{repository}: git {words[-1]}: {done.stderr.strip()}", advice="Look whether git works on this machine.")
