from __future__ import annotations

import json
from pathlib import Path

import pytest

from balbook.artifacts.store import Store
from balbook.cli import main
from balbook.local.resources import resource
from tests.registry_servers import CREDENTIALS, raw_repository


@pytest.fixture
def jar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "hotel.jar"
    path.write_bytes(b"PK one")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BALBOOK_REGISTRY", raising=False)
    text = resource("templates", "deployment", "inventory.yaml").read_text()
    (tmp_path / "inventory.yaml").write_text(text.replace("artifacts: artifacts ", "artifacts: store "))
    return path


def test_an_artifact_goes_through_a_shared_directory_into_the_store(jar: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    publish = ["registry", "publish", "hotel", "1.0.0", str(jar), "--url", "shared"]
    assert main(publish) == 0
    assert "published" in capsys.readouterr().out
    assert main(publish) == 0
    assert "is already there" in capsys.readouterr().out
    assert main(["registry", "list", "hotel", "--url", "shared", "--json"]) == 0
    assert [a["version"] for a in json.loads(capsys.readouterr().out)["artifacts"]] == ["1.0.0"]
    assert main(["registry", "retrieve", "hotel", "latest", "--url", "shared"]) == 0
    assert Store(tmp_path / "store").find("hotel").path.read_bytes() == b"PK one"


def test_other_content_is_refused_with_exit_status_2(jar: Path, capsys: pytest.CaptureFixture[str]) -> None:
    publish = ["registry", "publish", "hotel", "1.0.0", str(jar), "--url", "shared"]
    assert main(publish) == 0
    jar.write_bytes(b"PK two")
    assert main(publish) == 2
    assert "raise the version" in capsys.readouterr().err


def test_credentials_are_a_reference_that_only_http_needs(
    jar: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    publish = ["registry", "publish", "hotel", "1.0.0", str(jar), "--credentials", "env:NEXUS"]
    monkeypatch.delenv("NEXUS", raising=False)
    assert main([*publish, "--url", "shared"]) == 0
    with raw_repository() as server:
        monkeypatch.setenv("BALBOOK_REGISTRY", server.url)
        assert main(publish) == 2
        assert "NEXUS" in capsys.readouterr().err
        monkeypatch.setenv("NEXUS", "ci:wrong-password")
        assert main(publish) == 1
        assert server.contents == {}
        assert "wrong-password" not in capsys.readouterr().err
        monkeypatch.setenv("NEXUS", CREDENTIALS)
        assert main(publish) == 0
        assert len(server.contents) == 3


@pytest.mark.parametrize("argv", [[], ["--url", "ftp://host/x"]])
def test_no_registry_or_an_unknown_one_is_bad_input(jar: Path, argv: list[str]) -> None:
    assert main(["registry", "list", "hotel", *argv]) == 2


def test_without_an_address_it_is_the_inventorys_with_its_credentials(
    jar: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (tmp_path / "inventory.yaml").read_text()
    publish = ["registry", "publish", "hotel", "1.0.0", str(jar)]
    with raw_repository() as server:
        monkeypatch.setenv("REGISTRY_CREDENTIALS", CREDENTIALS)
        (tmp_path / "inventory.yaml").write_text(text.replace("https://nexus.example.com/repository/ballerina", server.url))
        assert main(publish) == 0
        assert len(server.contents) == 3
    (tmp_path / "inventory.yaml").unlink()
    assert main(publish) == 2
    assert "no registry is named" in capsys.readouterr().err
    assert main([*publish, "-i", "elsewhere.yaml"]) == 2
    assert "elsewhere.yaml" in capsys.readouterr().err
