from __future__ import annotations

import json
from pathlib import Path

import pytest

from balbook.cli import main
from balbook.local.resources import resource
from tests.report.history import improving_months


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    path = tmp_path / "inventory.yaml"
    path.write_text(resource("templates", "deployment", "inventory.yaml").read_text())
    improving_months(tmp_path / "records", weeks=3)
    return path


def test_the_page_is_written_and_the_measures_are_printed(inventory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.html"
    assert main(["report", "-i", str(inventory), "--output", str(page)]) == 0
    assert "Deployment frequency" in capsys.readouterr().out
    assert page.read_text().startswith("<!doctype html>")


def test_json_is_one_object_with_the_four_measures(
    inventory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("balbook.report.page.charts", lambda *frames: [])  # which take seconds to draw
    argv = ["report", "-i", str(inventory), "--output", str(tmp_path / "page.html"), "--json"]
    assert main(argv) == 0
    data = json.loads(capsys.readouterr().out)
    assert set(data["dora"]) == {"deployments", "per_week", "lead_time_h", "failure_rate", "restore_h"}
    assert main([*argv, "--include-lab"]) == 0
    assert json.loads(capsys.readouterr().out)["dora"]["deployments"] > data["dora"]["deployments"]


def test_an_environment_is_counted_alone(
    inventory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("balbook.report.page.charts", lambda *frames: [])
    argv = ["report", "-i", str(inventory), "--output", str(tmp_path / "page.html"), "--json"]
    assert main([*argv, "--environment", "production", "--include-plans"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["environments"] == ["production"]
    assert main(argv) == 0
    assert json.loads(capsys.readouterr().out)["dora"]["deployments"] > data["dora"]["deployments"]
    assert main([*argv, "--environment", "prodution"]) == 2


def test_a_wrong_day_is_bad_input_and_nothing_is_written(inventory: Path, tmp_path: Path) -> None:
    assert main(["report", "-i", str(inventory), "--since", "soon", "--output", str(tmp_path / "page.html")]) == 2
    assert not (tmp_path / "page.html").exists()
