"""Executable jars for the lab: the runtime's classes and a table of routes, without Ballerina."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from balbook.errors import Failed
from balbook.lab.ballerina.routes import Configurable, Program, Route, table

RUNTIME = Path(__file__).parent / "runtime"
SHIPPED_CLASSES = RUNTIME / "classes"
"""Where they are in a distribution for hosts that have no JDK."""
JAVA_OPTIONS = ("-Xshare:auto", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx64m")
"""What keeps a lab's JVMs small and quick to start."""
COMPILE_DEADLINE_S = 120


def make_jar(
    destination: Path,
    *,
    application: str,
    version: str,
    packages: Mapping[str, str],
    routes: Sequence[Route],
    configurables: Sequence[Configurable] = (),
    prints: Sequence[str] = (),
    exit_status: int | None = None,
    java_home: Path | None = None,
    built_at: datetime | None = None,
) -> Path:
    """An executable jar at `destination` that serves `routes`; moved into place when it is whole.

    `packages` maps `org/name` to a version. `exit_status` makes a release that ends at its start. `built_at` (now, if
    unset) goes into the jar: as with the real compiler, two builds of the same sources differ in bytes.
    """
    program = Program(application, version, packages, routes, configurables, prints, exit_status)
    return write_jar(destination, program, java_home=java_home, built_at=built_at)


def write_jar(destination: Path, program: Program, *, java_home: Path | None = None, built_at: datetime | None = None) -> Path:
    """`make_jar` for a program that stands as data."""
    classes = runtime_classes(java_home)
    at = built_at or datetime.now(UTC)
    destination.parent.mkdir(parents=True, exist_ok=True)
    beside = destination.with_name(f".{destination.name}.{os.getpid()}.part")
    try:
        with zipfile.ZipFile(beside, "w", zipfile.ZIP_DEFLATED) as jar:
            _add(jar, "META-INF/MANIFEST.MF", _manifest(program, at).encode(), at)
            _add(jar, "routes.tsv", table(program).encode(), at)
            for file in sorted(classes.glob("*.class")):
                _add(jar, file.name, file.read_bytes(), at)
        beside.replace(destination)
    finally:
        beside.unlink(missing_ok=True)
    return destination


def sample_jar(destination: Path, version: str, *, health_status: int = 200, exit_status: int | None = None) -> Path:
    """The hotel sample as a jar, without `bal`: `/health`, `/rooms`, `/bookings`, `/payments`, and `/slow` (5 s).

    `health_status` 503 makes a release that never becomes healthy, `exit_status` one that ends at its start.
    """
    packages = {f"acme/{name}": version for name in ("rooms", "bookings", "payments")}
    routes = sample_routes(health_status)
    return make_jar(destination, application="hotel", version=version, packages=packages, routes=routes, exit_status=exit_status)


def sample_routes(health_status: int = 200) -> tuple[Route, ...]:
    """The routes of the hotel sample."""
    status = "UP" if health_status == 200 else "DOWN"
    rooms = '[{"number":"101","beds":2,"rate":80.00},{"number":"102","beds":1,"rate":60.00}]'
    return (
        Route("GET", "/health", status=health_status, body=f'{{"status":"{status}"}}'),
        Route("GET", "/rooms", body=rooms),
        Route("POST", "/bookings", status=201, body='{"id":"{{uuid}}","status":"CONFIRMED"}'),
        Route("GET", "/payments", body='[{"booking":"b-1","amount":160.00,"currency":"EUR"}]'),
        Route("GET", "/slow", body='{"waited_s":5}', delay_ms=5000),
    )


def runtime_classes(java_home: Path | None = None) -> Path:
    """The directory of the compiled runtime, as it came along, or compiled once for each version of its sources."""
    if SHIPPED_CLASSES.is_dir():
        return SHIPPED_CLASSES
    sources = sorted(RUNTIME.glob("*.java"))
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]
    classes = _cache() / f"runtime-{digest}"
    if not classes.is_dir():
        _compile(sources, classes, _javac(java_home))
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
            if not classes.is_dir():  # else another process was first with the same classes
                raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _javac(java_home: Path | None) -> str:
    home = java_home or (Path(os.environ["JAVA_HOME"]) if os.environ.get("JAVA_HOME") else None)
    found = str(home / "bin/javac") if home and (home / "bin/javac").exists() else shutil.which("javac")
    if not found:
        raise Failed("the lab found no javac", advice="Install a JDK (Debian: default-jdk-headless) or set JAVA_HOME.")
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
