"""An ssh config with `Include`, as the library reads it then."""

from __future__ import annotations

from pathlib import Path

import pytest

from balbook.errors import BadInput
from balbook.transport.login import ssh_config


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / ".ssh"
    (folder / "config.d").mkdir(parents=True)
    (folder / "config.d" / "one").write_text("Host app1\n  User one\n  Port 1\n")
    (folder / "config.d" / "two").write_text("Host app1\n  User two\nHost app2\n  User two\n")
    return folder / "config"


@pytest.mark.parametrize("names", ["config.d/*", "~/.ssh/config.d/one config.d/two config.d/none", '"config.d/*"'])
def test_included_files_come_in_their_order_and_their_blocks_end_with_them(config: Path, names: str) -> None:
    config.write_text(f"Include {names}\nPort 7\nHost app2\n  Port 2\n")
    found = ssh_config(config)
    assert [(found.lookup(host).get("user"), found.lookup(host)["port"]) for host in ("app1", "app2", "lb1")] == [
        ("one", "1"),
        ("two", "7"),
        (None, "7"),
    ]


def test_blocks_of_a_file_that_is_named_in_a_block_hold_for_hosts_of_both(config: Path) -> None:
    config.write_text("Host app1 lb*\n  include=config.d/two\n  Port 3\nMatch all\n  Include config.d/one\n")
    found = ssh_config(config)
    assert found.lookup("app1")["user"] == "two"
    assert "user" not in found.lookup("app2")
    assert [found.lookup(host).get("port") for host in ("app1", "lb1", "app2")] == ["3", "3", None]


def test_a_config_that_includes_itself_is_told(config: Path) -> None:
    config.write_text("Include config\n")
    with pytest.raises(BadInput, match="Include leads deeper than 16 files"):
        ssh_config(config)
