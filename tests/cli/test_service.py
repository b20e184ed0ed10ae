"""Commands without a notebook: their words are held to the rules for parameters, before any host is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from balbook import transport
from balbook.cli import main
from tests.small_fleet import write_inventory

SECRET = "open-sesame-1"


@pytest.fixture
def inventory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = write_inventory(tmp_path).path
    path.write_text(f"{path.read_text()}central: {{token: 'env:BALBOOK_TEST_TOKEN'}}\n")
    monkeypatch.setenv("BALBOOK_TEST_TOKEN", SECRET)

    def connect(*_: object) -> object:
        pytest.fail("a host was about to be asked")

    monkeypatch.setattr(transport, "connect", connect)
    return path


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["drain", "hotel", "app1:9090", "--reason", "a\nb"], "'reason' contains the control character"),
        (["readmit", "hotel", "app1:9090", "--reason", "a\x1b[2Jb"], "'reason' contains the control character"),
        (["unlock", "hotel", "--reason", "a\rb"], "'reason' contains the control character"),
        (["rollback", "hotel", "--reason", "a\tb"], "'reason' contains the control character"),
        (["rollback", "hotel", "--to", "; x"], "parameter release '; x' is not allowed"),
        (["rollback", "hotel", "--reason", f"as {SECRET} says"], "parameter reason holds a secret"),
    ],
)
def test_words_that_do_not_belong_into_a_record_are_refused_before_any_host_is_asked(
    inventory: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "-i", str(inventory)]) == 2
    shown = capsys.readouterr().err
    assert said in shown
    assert SECRET not in shown
    assert not (inventory.parent / "records").exists()
