"""What the lab needs of the operating system: what is missing, and what to do about it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from balbook.errors import BadInput
from balbook.lab import needs
from balbook.lab.needs import Need

ABSENT = Need("balbook-absent", "nobody has it", ("absent-deb",), "absent-brew", "absent-conda")


def make_program(path: Path, text: str = "#!/bin/sh\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def make_jdk(folder: Path, version: str) -> Path:
    make_program(folder / "bin" / "javac", "#!/bin/sh\nexit 1\n")
    (folder / "release").write_text(f'IMPLEMENTOR="x"\nJAVA_VERSION="{version}"\n')
    return folder


def test_a_server_is_found_where_a_users_path_does_not_lead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = make_program(tmp_path / "sbin" / "balbook-server")
    assert needs.find_program("balbook-server", {"PATH": "/usr/bin"}) is None
    monkeypatch.setattr(needs, "ELSEWHERE", str(tmp_path / "sbin"))
    assert needs.find_program("balbook-server", {"PATH": "/usr/bin"}) == program


def test_path_comes_before_the_usual_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine, usual = make_program(tmp_path / "mine" / "balbook-server"), make_program(tmp_path / "usual" / "balbook-server")
    monkeypatch.setattr(needs, "ELSEWHERE", str(usual.parent))
    assert needs.find_program("balbook-server", {"PATH": str(mine.parent)}) == mine


def test_a_jdk_is_found_through_java_home_and_must_be_new_enough(tmp_path: Path) -> None:
    need = [Need("javac", "a JDK", ("x",), "x", "x")]
    old, new = make_jdk(tmp_path / "old", "11.0.2"), make_jdk(tmp_path / "new", "21.0.1")
    nowhere = {"PATH": str(tmp_path)}
    assert needs.missing(needs=need, environ={**nowhere, "JAVA_HOME": str(new)}) == []
    assert needs.missing(needs=need, environ={"PATH": str(old / "bin")}) == need


@pytest.mark.parametrize(("shown", "version"), [("javac 17.0.15", 17), ("javac 1.8.0_402", 8), ("javac 22-ea", 22)])
def test_a_jdk_without_a_description_is_asked(tmp_path: Path, shown: str, version: int) -> None:
    assert needs.java_version(make_program(tmp_path / "bin" / "javac", f"#!/bin/sh\necho {shown}\n")) == version


def test_a_placeholder_of_a_jdk_is_none(tmp_path: Path) -> None:
    assert needs.java_version(make_program(tmp_path / "bin" / "javac", "#!/bin/sh\necho No Java runtime >&2\nexit 1\n")) == 0


def test_only_the_groups_asked_for_are_missed() -> None:
    optional = Need("balbook-absent-too", "optional", ("x",), "x", "x", group="balancers")
    assert needs.missing(needs=[ABSENT, optional]) == [ABSENT]
    assert needs.missing(("", "balancers"), needs=[ABSENT, optional]) == [ABSENT, optional]


def test_what_is_missing_is_named_with_packages_for_apt_brew_and_conda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs, "missing", lambda *_, **__: [ABSENT])
    with pytest.raises(BadInput) as raised:
        needs.require()
    text = str(raised.value)
    for expected in ("balbook-absent", "apt-get install --no-install-recommends absent-deb", "brew install absent-brew", "absent-conda"):
        assert expected in text


def test_a_package_that_serves_two_needs_is_named_once() -> None:
    advice = needs.not_met([need for need in needs.NEEDS if need.program in ("ssh", "ssh-keygen")]).advice
    assert advice.count("openssh-client") == 1


def test_the_check_runs_with_the_standard_library_alone() -> None:
    asked = (
        "import sys, balbook.lab.needs, balbook.lab.os_packages;"
        "print(*(set(m.split('.')[0] for m in sys.modules) - set(sys.stdlib_module_names) - {'balbook', '__main__'}))"
    )
    root = Path(needs.__file__).parents[2]
    shown = subprocess.run([sys.executable, "-S", "-E", "-c", asked], capture_output=True, text=True, check=True, cwd=root)
    assert shown.stdout.split() == []


def test_the_command_says_what_is_missing_and_exits_2(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(needs, "missing", lambda *_, **__: [ABSENT])
    assert needs.main([]) == 2
    assert "balbook-absent" in capsys.readouterr().err
    monkeypatch.setattr(needs, "missing", lambda *_, **__: [])
    assert needs.main(["--balancers"]) == 0
    assert needs.main(["--instal"]) == 2
