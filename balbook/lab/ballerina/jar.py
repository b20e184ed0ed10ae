"""Executable jars for the lab: the runtime's classes and a table of routes, without Ballerina."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from balbook.errors import Failed
from balbook.lab.ballerina.routes import Program, Route, table
from balbook.local.atomic_files import replacing

RUNTIME = Path(__file__).parent / "runtime"
SHIPPED_CLASSES = RUNTIME / "classes"
"""The compiled classes in a distribution for hosts without a JDK."""
JAVA_OPTIONS = ("-Xshare:auto", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx64m")
"""Options that keep a lab's JVMs small and quick to start."""
COMPILE_DEADLINE_S = 120


def write_jar(destination: Path, program: Program) -> Path:
    """Writes an executable jar with the time of its making, so that two jars differ in bytes."""
    classes = runtime_classes()
    at = datetime.now(UTC)
    destination.parent.mkdir(parents=True, exist_ok=True)
    with replacing(destination, is_durable=False) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as jar:
        _add(jar, "META-INF/MANIFEST.MF", _manifest(program, at).encode(), at)
        _add(jar, "routes.tsv", table(program).encode(errors="surrogateescape"), at)
        for compiled in sorted(classes.glob("*.class")):
            _add(jar, compiled.name, compiled.read_bytes(), at)
    return destination


def sample_jar(destination: Path, version: str, *, exit_status: int | None = None, **statuses: int) -> Path:
    """The hotel sample as a jar, without `bal`: `/health`, `/rooms`, `/bookings`, `/payments`, and `/slow`, which takes 5 s.

    `health_status=503` makes a release that never becomes healthy, `rooms_status=500` a release that is healthy and serves nothing,
    `exit_status` a release that ends at its start.
    """
    made = {"health": "rooms", "slow": "rooms", "rooms": "rooms", "payments": "payments", "bookings": "bookings"}
    routes = [Route("POST" if path == "bookings" else "GET", f"/{path}", path, f"acme/{made[path]}", version) for path in made]
    settings = {f"balbook.lab.status./{name.removesuffix('_status')}": str(status) for name, status in statuses.items()}
    packages = {f"acme/{name}": version for name in ("rooms", "bookings", "payments")}
    settings["balbook.lab.delay_s./slow"] = "5"
    return write_jar(destination, Program("hotel", version, packages, routes, (), settings, exit_status))


def runtime_classes() -> Path:
    """The folder of the compiled runtime: the shipped one, or one compiled once for each version of the sources."""
    if SHIPPED_CLASSES.is_dir():
        return SHIPPED_CLASSES
    sources = sorted(RUNTIME.glob("*.java"))
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]
    classes = _cache() / f"runtime-{digest}"
    if not classes.is_dir():
        _compile(sources, classes, _javac())
    return classes


def _compile(sources: Sequence[Path], classes: Path, javac: str) -> None:
    classes.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{classes.name}.", dir=classes.parent))
    argv = [javac, "--release", "17", "-d", str(beside), *map(str, sources)]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=COMPILE_DEADLINE_S, check=False)
        if done.returncode:
            raise Failed(f"javac could not compile the lab's runtime:\n{done.stderr.strip()}", advice="Install a JDK 17 or later.")
        try:
            beside.rename(classes)
        except OSError:
            if not classes.is_dir():  # else another process made the same classes first
                raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _javac() -> str:
    own = Path(os.environ.get("JAVA_HOME") or "/nowhere") / "bin" / "javac"
    found = str(own) if own.exists() else shutil.which("javac")
    if not found:
        raise Failed(
            "the lab needs javac, and found none in JAVA_HOME or on PATH",
            advice="Install a JDK (Debian: default-jdk-headless) or set JAVA_HOME.",
        )
    return found


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "balbook" / "lab"


def _manifest(program: Program, at: datetime) -> str:
    return (
        "Manifest-Version: 1.0\r\n"
        "Main-Class: Service\r\n"
        "Created-By: balbook lab stand-in\r\n"
        f"Implementation-Version: {program.version}\r\n"
        f"Build-Timestamp: {at.isoformat()}\r\n"
    )


def _add(jar: zipfile.ZipFile, name: str, content: bytes, at: datetime) -> None:
    entry = zipfile.ZipInfo(name, at.timetuple()[:6])
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    jar.writestr(entry, content)
