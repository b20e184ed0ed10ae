"""The server: on this machine alone, with a token that nobody else sees; one without is stopped."""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path

import pytest

from balbook.errors import BadInput, Failed, Refused
from balbook.jupyter import server
from balbook.jupyter.notebooks_folder import PRIVATE
from balbook.jupyter.server import Server, require_port, running, serve
from balbook.local.processes import identity

PORT = server._free_port()
FAKE = """
import json, os, pathlib, socket, sys, time
port = int(sys.argv[3])
about = pathlib.Path(os.environ["JUPYTER_RUNTIME_DIR"]) / f"jpserver-{os.getpid()}.json"
about.write_text(json.dumps({"port": port, "base_url": "/", "token": sys.argv[1], "password": False}))
time.sleep(0.3)
listener = socket.create_server(("127.0.0.1", port))
time.sleep(float(sys.argv[2]))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "jupyter" / PRIVATE).mkdir(parents=True)
    return tmp_path / "jupyter"


def started(folder: Path, monkeypatch: pytest.MonkeyPatch, *argv: str, within_s: float = 20) -> list[Server]:
    """What `serve` said of a stand-in for JupyterLab with this argv."""
    monkeypatch.setattr(server, "_argv", lambda folder, port, has_browser: [sys.executable, *argv, str(port)])
    monkeypatch.setattr(server, "STARTED_WITHIN_S", within_s)
    seen: list[Server] = []

    def ready(there: Server) -> None:
        seen.append(there)
        socket.create_connection(("127.0.0.1", int(there.url.split("/")[2].partition(":")[2]))).close()

    environ = {**os.environ, "JUPYTER_RUNTIME_DIR": str(folder.parent)}
    serve(folder, port=PORT, has_browser=False, inventory=None, environ=environ, ready=ready)
    return seen


def test_the_address_has_the_token_and_leads_to_the_index(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (seen,) = started(folder, monkeypatch, "-c", FAKE, "secret", "0.2")
    assert seen.url == f"http://127.0.0.1:{PORT}/lab/tree/jupyter/index.ipynb?token=secret"


def test_a_server_without_a_token_is_stopped(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refused, match="switches the token off"):
        started(folder, monkeypatch, "-c", FAKE, "", "300")
    pid = int(next(folder.parent.glob("jpserver-*.json")).stem.partition("-")[2])
    assert not identity(pid)


def test_a_server_that_ends_at_once_says_why(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Failed, match=r"(?s)status 3.*no such option"):
        started(folder, monkeypatch, "-c", "import sys; print('no such option', file=sys.stderr); sys.exit(3)")


def test_an_interrupt_ends_the_server(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pids: list[int] = []

    def ready(there: Server) -> None:
        pids.append(there.pid)
        assert running(folder) == there
        raise KeyboardInterrupt

    monkeypatch.setattr(server, "_argv", lambda folder, port, has_browser: [sys.executable, "-c", FAKE, "secret", "300", str(port)])
    environ = {**os.environ, "JUPYTER_RUNTIME_DIR": str(folder.parent)}
    serve(folder, port=0, has_browser=False, inventory=None, environ=environ, ready=ready)
    assert not identity(pids[0])
    assert running(folder) is None


def test_a_state_that_a_reboot_left_is_no_server(folder: Path) -> None:
    (folder / PRIVATE / "server.json").write_text(json.dumps({"pid": os.getpid(), "identity": "another", "about": "x"}))
    assert running(folder) is None


def test_it_listens_on_this_machine_alone_and_has_no_token_in_its_argv(folder: Path) -> None:
    argv = server._argv(folder, 8890, has_browser=False)
    assert "--ServerApp.ip=127.0.0.1" in argv
    assert "--no-browser" in argv
    assert not [word for word in argv if "token" in word or "password" in word]


def test_what_is_named_as_inventory_reaches_the_kernels(folder: Path) -> None:
    settings = server._environment(folder, Path("/srv/inventory.yaml"), {"PATH": "/bin", "JUPYTER_CONFIG_PATH": "/mine"})
    assert settings["BALBOOK_INVENTORY"] == "/srv/inventory.yaml"
    assert settings["JUPYTER_CONFIG_PATH"].split(":") == [f"{folder / PRIVATE}/config", "/mine"]
    assert "BALBOOK_INVENTORY" not in server._environment(folder, None, {})


@pytest.mark.parametrize("port", [-1, 65536])
def test_what_is_no_port_is_refused(port: int) -> None:
    with pytest.raises(BadInput, match="is not a port"):
        require_port(port)
