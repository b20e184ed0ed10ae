"""The commands `bal test`, `bal pack`, `bal build`, `bal run`, `bal push` and `bal clean`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from balbook.errors import Failed
from balbook.lab.ballerina import central_client, consolidate
from balbook.lab.ballerina.bala import bala_name, identity, unpack, write_bala
from balbook.lab.ballerina.home import Home, central_url
from balbook.lab.ballerina.jar import JAVA_OPTIONS, write_jar
from balbook.lab.ballerina.options import Options, at_most_one, read_options
from balbook.lab.ballerina.package import Package, Sources, open_package
from balbook.lab.ballerina.reader import Test, read_module
from balbook.lab.ballerina.resolve import Locking, direct, resolve, write_pins
from balbook.lab.ballerina.routes import Program, imports, program, read_modules
from balbook.lab.ballerina.said import Refusal, command_error, err, out, task_error
from balbook.lab.ballerina.source import CompileError
from balbook.lab.ballerina.tools import pull_tool

_FLAGS = ("--offline", "--sticky", "--graalvm", "--dump-build-time", "--code-coverage", "--test-report", "--observability-included")
_VALUED = ("--target-dir", "--locking-mode")
_POLL_S = 3


@dataclass
class Compiled:
    """A package after a build: the sources with linked versions, and the program."""

    package: Package
    sources: Sources
    program: Program
    target: Path
    durations_ms: dict[str, int] = field(default_factory=dict)


def test(argv: Sequence[str], home: Home) -> None:
    """Lists the package's tests without running them; a test that fails for certain ends the command with status 1."""
    options = read_options(argv, flags=_FLAGS, valued=_VALUED)
    compiled = _compiled(at_most_one(options, "test"), options, home)
    out(f"\nRunning Tests{' with Coverage' if '--code-coverage' in options.flags else ''}")
    with _compile_errors():
        tests = {module: read_module(files).tests for module, files in compiled.package.tests().items()}
    for module, found in tests.items():
        _say_outcomes(module, found)
    if any(test.failure for found in tests.values() for test in found):
        raise task_error("there are test failures")


def pack(argv: Sequence[str], home: Home) -> None:
    """Makes the package's archive."""
    options = read_options(argv, flags=_FLAGS, valued=_VALUED)
    where = at_most_one(options, "pack")
    if not (Path(where) / "Ballerina.toml").is_file():
        raise command_error("bal pack can only be used with a Ballerina package.")
    compiled = _compiled(where, options, home)
    out("\nCreating bala")
    readme = compiled.package.root / "README.md"
    text = readme.read_text() if readme.is_file() else ""
    path = write_bala(compiled.target / "bala" / bala_name(compiled.sources), compiled.sources, text, datetime.now(UTC))
    out(f"\t{path}")


def build(argv: Sequence[str], home: Home) -> None:
    """Makes the package's executable: a jar, and with `--graalvm` a native binary beside it."""
    options = read_options(argv, flags=_FLAGS, valued=_VALUED)
    started = time.perf_counter()
    compiled = _compiled(at_most_one(options, "build"), options, home)
    is_native = "--graalvm" in options.flags
    out(f"\nGenerating executable{' with Native image' if is_native else ''}")
    emitting = time.perf_counter()
    jar = _write_jar(compiled)
    if is_native:
        jar = _native(jar, compiled.package.name)
    out(f"\t{jar}")
    compiled.durations_ms["emitArtifactDuration"] = _ms_since(emitting)
    if "--dump-build-time" in options.flags:
        _dump_build_time(compiled, "--offline" in options.flags, _ms_since(started))


def run(argv: Sequence[str], home: Home) -> None:
    """Builds the package and becomes its executable; arguments after `--` are the program's."""
    cut = list(argv).index("--") if "--" in argv else len(argv)
    options = read_options(argv[:cut], flags=_FLAGS, valued=_VALUED)
    compiled = _compiled(at_most_one(options, "run"), options, home)
    jar = _write_jar(compiled)
    out("\nRunning executable\n")
    os.execvp("java", ["java", *JAVA_OPTIONS, "-jar", str(jar), *argv[cut + 1 :]])


def push(argv: Sequence[str], home: Home) -> None:
    """Pushes an archive to Central, or to the local repository, where it replaces an earlier one without a word."""
    options = read_options(argv, valued=("--repository",))
    repository = options.values.get("--repository", "")
    if repository not in ("", "local"):
        raise command_error(f"unsupported repository '{repository}' found. Only 'local' repository is supported.")
    bala = Path(options.operands[0]) if options.operands else _packed(open_package(Path(), _not_a_package(Path())))
    if not bala.is_file():
        raise command_error(f"path provided for the bala file does not exist: {bala}.")
    org, name, version = identity(bala)
    if repository:
        unpack(bala, home.local)
        out(f"Successfully pushed {bala} to 'local' repository.")
        return
    size_kb = max(1, bala.stat().st_size // 1024)
    central_client.push(central_url(), bala, _waited_token(home))
    out(f"{org}/{name}:{version} [project repo -> central]  100% [{'=' * 30}] {size_kb}/{size_kb} KB (0:00:00 / 0:00:00)")
    out(f"{org}/{name}:{version} pushed to central successfully")


def clean(argv: Sequence[str], home: Home) -> None:
    """Removes `target/`."""
    where = Path(at_most_one(read_options(argv), "clean"))
    package = open_package(where, "ballerina: bal clean can only be used with a Ballerina package.")
    shutil.rmtree(package.root / "target", ignore_errors=True)
    out(f"Successfully deleted '{package.root / 'target'}'.")


def _compiled(where: str, options: Options, home: Home) -> Compiled:
    durations: dict[str, int] = {}
    started = time.perf_counter()
    root = Path(where)
    package = open_package(root, _not_a_package(root))
    if not any((*package.sources().modules.values(), *package.tests().values())):
        raise command_error("package is empty. Please add at least one .bal file.")
    _run_build_tools(package, home, is_offline="--offline" in options.flags)
    durations["projectLoadDuration"] = _ms_since(started)
    out("Compiling source")
    out(f"\t{package.org}/{package.name}:{package.version}")
    with _compile_errors():
        return _linked(package, options, home, durations)


@contextmanager
def _compile_errors() -> Iterator[None]:
    try:
        yield
    except CompileError as exc:
        err(str(exc))
        raise task_error("compilation contains errors") from exc


def _linked(package: Package, options: Options, home: Home, durations: dict[str, int]) -> Compiled:
    mode = "hard" if "--sticky" in options.flags else options.values.get("--locking-mode", "medium").lower()
    started = time.perf_counter()
    sources = package.sources()
    imported = imports(sources, read_modules(sources))
    locking = Locking(mode, "--offline" in options.flags)
    linked = resolve(package, imported, home, central_url(), locking)
    durations["packageResolutionDuration"] = _ms_since(started)
    compiling = time.perf_counter()
    made = program(sources, linked)
    sources = replace(sources, dependencies=direct(imported, linked))
    write_pins(package, sorted(sources.dependencies), linked, home.distribution())
    durations["packageCompilationDuration"] = _ms_since(compiling)
    target = Path(options.values["--target-dir"]) if "--target-dir" in options.values else package.root / "target"
    return Compiled(package, sources, made, target, durations)


def _run_build_tools(package: Package, home: Home, *, is_offline: bool) -> None:
    names = list(package.manifest.get("tool", {}))
    if not names:
        return
    out("\nExecuting Build Tools\n")
    for name in names:
        if name != consolidate.TOOL:
            err(f"lab stand-in: the build tool {name} is not run; its earlier files in `generated` are used")
    if consolidate.TOOL in names and not home.has_tool(consolidate.TOOL):
        if is_offline:
            text = "cannot be resolved. Please try again without '--offline' flag"
            raise Refusal(f"ERROR [consolidate-packages] Build tool 'consolidate-packages' {text}")
        pull_tool(consolidate.TOOL, home)
    for entry in consolidate.generate(package):
        out(f"\tconsolidate-packages({entry})\n")


def _say_outcomes(module: str, tests: list[Test]) -> None:
    out(f"\n\t{module}")
    if not tests:
        out("\t\tNo tests found")
        return
    for test in tests:
        if test.failure:
            out(f'\n\t\t[fail] {test.name}:\n\n\t\t    error {{ballerina/test:0}}TestError ("{test.failure}")\n')
        else:
            out(f"\t\t[pass] {test.name}")
    failing = sum(bool(test.failure) for test in tests)
    out(f"\n\t\t{len(tests) - failing} passing\n\t\t{failing} failing\n\t\t0 skipped")


def _write_jar(compiled: Compiled) -> Path:
    try:
        return write_jar(compiled.target / "bin" / f"{compiled.package.name}.jar", compiled.program)
    except Failed as exc:
        raise task_error(f"compilation failed: {exc.message}") from exc


def _native(jar: Path, name: str) -> Path:
    home = os.environ.get("GRAALVM_HOME", "")
    if not home:
        raise task_error("GraalVM installation directory not found. Set GRAALVM_HOME as an environment variable")
    tool = Path(home) / "bin" / "native-image"
    if not tool.is_file():
        raise task_error("cannot find 'native-image' in the GRAALVM_HOME/bin directory. Install it using: gu install native-image")
    binary = jar.with_suffix("")
    argv = [str(tool), "-jar", str(jar), f"-H:Name={name}", f"-H:Path={binary.parent}", "--no-fallback"]
    if subprocess.run(argv, check=False).returncode:
        raise task_error("unable to create native image")
    return binary


def _dump_build_time(compiled: Compiled, is_offline: bool, total_ms: int) -> None:
    phases = ("projectLoad", "packageResolution", "packageCompilation", "codeGen", "emitArtifact", "testingExecution")
    durations = {f"{phase}Duration": compiled.durations_ms.get(f"{phase}Duration", 0) for phase in phases}
    facts = {"timestamp": int(time.time() * 1000), "offline": is_offline, "compile": True}
    path = compiled.target / "build-time.json"
    path.write_text(json.dumps({**facts, **durations, "totalDuration": total_ms}, indent=2) + "\n")
    out(f"\nDumping build time information\n\t{path}")


def _packed(package: Package) -> Path:
    found = sorted((package.root / "target/bala").glob(f"{package.org}-{package.name}-*-{package.version}.bala"))
    if not found:
        advice = "Run 'bal pack' to compile and generate the bala."
        raise command_error(f"cannot find bala file for the package: {package.name}. {advice}")
    return found[0]


def _waited_token(home: Home) -> str:
    """The access token; without one, waits for ever for a token in `Settings.toml`, as the real command does."""
    token = home.token()
    if not token:
        out("Opening the web browser to https://central.ballerina.io/cli-token for authentication ...")
    while not token:
        time.sleep(_POLL_S)
        token = home.token()
    return token


def _not_a_package(root: Path) -> str:
    return f"ballerina: Invalid Ballerina package directory: {root}, cannot find 'Ballerina.toml' file."


def _ms_since(start: float) -> int:
    return int((time.perf_counter() - start) * 1000)
