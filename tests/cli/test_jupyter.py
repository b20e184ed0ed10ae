"""`jupyter`: what it hands to the server, and what it says."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from balbook.cli import main
from balbook.jupyter import Server
from balbook.jupyter.notebooks_folder import PRIVATE
from tests.small_fleet import write_inventory


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What would be served, instead of a server."""
    calls: list[dict[str, Any]] = []

    def serve(folder: Path, *, ready: Any, **options: Any) -> None:
        calls.append({"folder": folder, **options})
        ready(Server(1, "http://127.0.0.1:8888/lab?token=x"))

    monkeypatch.setattr("balbook.jupyter.serve", serve)
    monkeypatch.setattr("balbook.jupyter.index.WITHIN_S", 0.2)
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "data"))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return calls


def test_the_address_is_the_result_and_all_else_is_said_beside_it(served: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["jupyter", "--no-browser", "--port", "0"]) == 0
    said = capsys.readouterr()
    assert said.out == "http://127.0.0.1:8888/lab?token=x\n"
    assert "no inventory" in said.err
    assert served[0]["folder"] == Path.cwd() / "jupyter"
    assert (served[0]["port"], served[0]["has_browser"], served[0]["inventory"]) == (0, False, None)


def test_an_inventory_in_the_folder_reaches_the_runbooks(served: list[dict[str, Any]]) -> None:
    write_inventory(Path.cwd())
    assert main(["jupyter", "--no-browser"]) == 0
    assert served[0]["inventory"] == Path.cwd() / "inventory.yaml"


@pytest.mark.parametrize("words", [["-i", "absent.yaml"], ["--port", "99999"]])
def test_bad_input_makes_no_folder(words: list[str], served: list[dict[str, Any]]) -> None:
    assert main(["jupyter", "--no-browser", *words]) == 2
    assert served == []
    assert not Path("jupyter").exists()


def test_an_edited_copy_is_named(served: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["jupyter", "--no-browser", "--folder", "here"]) == 0
    copy = Path("here/provision.ipynb")
    copy.write_text(copy.read_text().replace("run.preflight()", "run.preflight()  # mine"))
    assert main(["jupyter", "--no-browser", "--folder", "here"]) == 0
    assert f"{copy.absolute()} was edited and is kept" in capsys.readouterr().err


def test_where_it_runs_already_no_second_one_is_started(
    served: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("balbook.jupyter.server.running", lambda folder: Server(os.getpid(), "http://127.0.0.1:1/lab?token=y"))
    assert main(["jupyter"]) == 0
    assert capsys.readouterr().out == "http://127.0.0.1:1/lab?token=y\n"
    assert served == []
    assert not Path("jupyter", PRIVATE).exists()
