"""Situations that `bal` is called in: each named one changes the directory, the environment or Central."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from balbook.lab.ballerina import bal
from balbook.lab.ballerina.central import Central
from balbook.lab.ballerina.home import Home
from balbook.lab.ballerina.said import RAN_NOTHING

TOKEN = "open-sesame"
INN = """import ballerina/http;

service /inn on http:getDefaultListener() {
    resource function get .() returns string {
        return greeting();
    }
}

function greeting() returns string {
    return "good evening";
}
"""
INN_TEST = """import ballerina/test;

@test:Config {}
function testGreeting() {
    test:assertEquals(greeting(), "good evening");
}
"""


@dataclass
class Answered:
    """What a call of `bal` came to."""

    status: int
    stdout: str
    stderr: str


@dataclass
class Stage:
    """A directory with a home for `bal` below it; `run` calls the stand-in in this process, and leaves out that it says what it is."""

    root: Path
    monkeypatch: pytest.MonkeyPatch
    capfd: pytest.CaptureFixture[str]
    central: Central | None = None
    closers: list[Callable[[], None]] = field(default_factory=list)

    @property
    def home(self) -> Home:
        return Home(self.root / "home")

    def write(self, path: str, text: str) -> Path:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        return target

    def package(self, name: str, source: str = INN, *, version: str = "0.1.0", more: str = "") -> Path:
        self.write(f"{name}/Ballerina.toml", f'[package]\norg = "acme"\nname = "{name}"\nversion = "{version}"\n{more}')
        return self.write(f"{name}/{name}.bal", source).parent

    def start_central(self) -> Central:
        self.central = Central(self.root / "registry", {TOKEN: ("acme",)}).start()
        self.closers.append(self.central.stop)
        self.monkeypatch.setenv("BALBOOK_LAB_CENTRAL", self.central.url)
        self.monkeypatch.setenv("BALLERINA_CENTRAL_ACCESS_TOKEN", TOKEN)
        return self.central

    def publish(self, name: str, source: str = INN, *, version: str = "0.1.0") -> None:
        """Packs and pushes a package; it must work."""
        self.package(name, source, version=version)
        for command in ("bal pack", "bal push"):
            done = self.run(command, name)
            assert done.status == 0, done.stderr

    def run(self, command: str, where: str = ".") -> Answered:
        self.capfd.readouterr()
        with chdir(self.root / where):
            status = bal.main(shlex.split(command)[1:])
        said = self.capfd.readouterr()
        assert RAN_NOTHING in said.out + said.err or said.err.startswith("ballerina: unknown command")
        return Answered(status, said.out, said.err.replace(f"{RAN_NOTHING}\n", "", 1))


@contextmanager
def stage(root: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Stage]:
    """An empty stage whose Central, if none is started, cannot be reached."""
    for name in [n for n in os.environ if n.startswith(("BALLERINA_", "BALBOOK_LAB_", "GRAALVM_", "BAL_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("BALLERINA_HOME_DIR", str(root / "home"))
    monkeypatch.setenv("BALBOOK_LAB_CENTRAL", "http://127.0.0.1:9/none")
    made = Stage(root, monkeypatch, capfd)
    try:
        yield made
    finally:
        for close in made.closers:
            close()


def _inn(s: Stage) -> None:
    s.package("inn")
    s.write("inn/tests/inn_test.bal", INN_TEST)


def _no_sources(s: Stage) -> None:
    (s.root / "inn/inn.bal").unlink()


def _no_tests(s: Stage) -> None:
    (s.root / "inn/tests/inn_test.bal").unlink()


def _failing_test(s: Stage) -> None:
    failing = INN_TEST.replace('assertEquals(greeting(), "good evening")', 'assertFail("the door is shut")')
    s.write("inn/tests/inn_test.bal", failing)


def _packed(s: Stage) -> None:
    assert s.run("bal pack", "inn").status == 0


def _pushed(s: Stage) -> None:
    assert s.run("bal push", "inn").status == 0


def _central_fails(s: Stage) -> None:
    assert s.central is not None
    s.central.fault = "error"


def _hotel(s: Stage) -> None:
    s.package("hotel", "// nothing of its own\n")
    entry = '\n[[tool.consolidate-packages]]\nid = "consolidatePackages1"\noptions.services = ["acme/inn"]\n'
    s.write("hotel/Ballerina.toml", (s.root / "hotel/Ballerina.toml").read_text() + entry)


def _empty_graalvm(s: Stage) -> None:
    s.monkeypatch.setenv("GRAALVM_HOME", str(s.root / "graalvm"))


SITUATIONS: dict[str, Callable[[Stage], object]] = {
    "inn": _inn,
    "loose": lambda s: s.write("loose/thing.bal", ""),
    "no-sources": _no_sources,
    "no-tests": _no_tests,
    "failing-test": _failing_test,
    "packed": _packed,
    "pushed": _pushed,
    "central": Stage.start_central,
    "central-fails": _central_fails,
    "wrong-token": lambda s: s.monkeypatch.setenv("BALLERINA_CENTRAL_ACCESS_TOKEN", "guessed"),
    "tool": lambda s: s.run("bal tool pull consolidate-packages"),
    "old-distribution": lambda s: s.home.save_distribution("2201.11.0"),
    "hotel": _hotel,
    "stray-brace": lambda s: s.write("inn/inn.bal", "// one {\nfunction f() {}\n}\n"),
    "missing-quote": lambda s: s.write("inn/inn.bal", 'const string A = "good night;\n'),
    "missing-brace": lambda s: s.write("inn/inn.bal", "function f() {\n    return;\n\n"),
    "unknown-import": lambda s: s.write("inn/inn.bal", "import ballerina/teapot;\nimport acme/teapot;\n"),
    "another-tool": lambda s: s.package("inn", more='\n[[tool.openapi]]\nid = "t1"\n'),
    "corrupt-pins": lambda s: s.write("inn/Dependencies.toml", "[[package\n"),
    "empty-graalvm": _empty_graalvm,
}
