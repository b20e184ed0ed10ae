"""The lab's `bal` prints what the real one prints, to the same stream, with the same status."""

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest
from bal_situations import SITUATIONS, Stage

from balbook.lab.ballerina.home import os_user

FIXTURES = sorted((Path(__file__).parents[2] / "data" / "bal").glob("*.json"))


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_prints_what_the_real_command_prints(path: Path, bal_stage: Stage) -> None:
    fixture: dict[str, Any] = json.loads(path.read_text())
    if path.stem.startswith("java-") and not shutil.which("javac"):
        pytest.skip("needs a JDK")
    for situation in fixture["given"]:
        SITUATIONS[situation](bal_stage)
    done = bal_stage.run(fixture["command"], fixture["in"])
    assert (done.status, done.stdout, done.stderr) == (
        fixture["status"],
        filled(fixture["stdout"], bal_stage),
        filled(fixture["stderr"], bal_stage),
    )


def filled(text: str, stage: Stage) -> str:
    central = stage.central.url if stage.central else ""
    return text.replace("{cwd}", str(stage.root)).replace("{user}", os_user()).replace("{central}", central)


def test_there_are_fixtures() -> None:
    assert len(FIXTURES) > 40


def test_a_new_library_can_be_tested_as_it_is(bal_stage: Stage) -> None:
    bal_stage.run("bal new --template lib welcome")
    files = {str(p.relative_to(bal_stage.root / "welcome")) for p in (bal_stage.root / "welcome").rglob("*")}
    assert files >= {"Ballerina.toml", "README.md", "welcome.bal", "resources", "tests/lib_test.bal", ".gitignore"}
    assert "2 passing" in bal_stage.run("bal test", "welcome").stdout


def test_announces_an_update_before_the_output_when_told_to(bal_stage: Stage) -> None:
    bal_stage.monkeypatch.setenv("BALBOOK_LAB_UPDATE", "2201.13.5")
    lines = bal_stage.run("bal version").stdout.splitlines()
    assert lines[:2] == [
        "A new version of Ballerina is available: 2201.13.5",
        "Use 'bal dist pull 2201.13.5' to download and use the distribution",
    ]


def test_two_archives_of_the_same_sources_differ_in_bytes(bal_stage: Stage) -> None:
    bal_stage.package("inn")
    archives = []
    for _ in range(2):
        bal_stage.run("bal pack", "inn")
        archives.append((bal_stage.root / "inn/target/bala/acme-inn-any-0.1.0.bala").read_bytes())
    assert archives[0] != archives[1]


def test_a_package_keeps_its_bytes_and_the_modules_that_a_tool_made(bal_stage: Stage) -> None:
    bal_stage.package("inn", "import inn.made;\nimport acme/inn.never_made;\n")
    (bal_stage.root / "inn/inn.bal").write_bytes(b"import inn.made;\r\n// \xe9\r\n")
    bal_stage.write("inn/generated/made/made.bal", "// made\n")
    bal_stage.run("bal pack", "inn")
    with zipfile.ZipFile(bal_stage.root / "inn/target/bala/acme-inn-any-0.1.0.bala") as archive:
        assert archive.read("modules/inn/inn.bal") == b"import inn.made;\r\n// \xe9\r\n"
        assert archive.read("modules/inn.made/made.bal") == b"// made\n"


def test_the_local_repository_overwrites_without_a_word(bal_stage: Stage) -> None:
    for greeting in ("good evening", "good night"):
        bal_stage.package("inn", greeter(greeting))
        bal_stage.run("bal pack", "inn")
        assert bal_stage.run("bal push --repository=local", "inn").status == 0
    kept = bal_stage.home.local / "acme/inn/0.1.0/any/modules/inn/inn.bal"
    assert kept.read_text() == greeter("good night")


def greeter(greeting: str) -> str:
    return f'function greeting() returns string {{\n    return "{greeting}";\n}}\n'


@pytest.mark.parametrize("token", ["", None])
def test_push_without_a_token_waits_until_settings_have_one(bal_stage: Stage, token: str | None) -> None:
    bal_stage.package("inn")
    bal_stage.run("bal pack", "inn")
    bal_stage.start_central()
    if token is None:
        bal_stage.monkeypatch.delenv("BALLERINA_CENTRAL_ACCESS_TOKEN")
    else:
        bal_stage.monkeypatch.setenv("BALLERINA_CENTRAL_ACCESS_TOKEN", token)
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 5:
            raise TimeoutError

    bal_stage.monkeypatch.setattr("balbook.lab.ballerina.tasks.time.sleep", sleep)
    with pytest.raises(TimeoutError):
        bal_stage.run("bal push", "inn")
    assert waits == [3] * 5


def test_a_token_of_the_environment_beats_the_one_in_the_settings(bal_stage: Stage) -> None:
    bal_stage.start_central()
    bal_stage.write("home/Settings.toml", '[central]\naccesstoken = "guessed"\n')
    bal_stage.publish("inn")
