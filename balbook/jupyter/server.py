"""The JupyterLab server: on 127.0.0.1 alone, with Jupyter's own random token, ended with the command that started it.

The token is neither on an argv nor in a variable: the server makes it and writes it into its private runtime file, where it is
read from. A server whose user's configuration has switched tokens off is stopped: it would let every user of the machine deploy.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from balbook.errors import BadInput, Failed, Refused
from balbook.inventory.load import VARIABLE
from balbook.jupyter.notebooks_folder import INDEX, PRIVATE
from balbook.local.atomic_files import write_text
from balbook.local.processes import identity
from balbook.local.signals import answered

ADDRESS = "127.0.0.1"
LOG = "jupyterlab.log"
STATE = "server.json"
STARTED_WITHIN_S = 90.0
STOPPED_WITHIN_S = 20.0


@dataclass(frozen=True)
class Server:
    """A running server. `url` has the token in it and leads to the index."""

    pid: int
    url: str


def serve(
    folder: Path, *, port: int, has_browser: bool, inventory: Path | None, environ: Mapping[str, str], ready: Callable[[Server], None]
) -> None:
    """Runs JupyterLab on the folder that holds `folder` until it is shut down, or this process is interrupted.

    `port` 0: a free one. `inventory`: the one for runbooks that name none. `ready` is called once the server can be opened.
    """
    log = folder / PRIVATE / LOG
    argv, settings = _argv(folder, port or _free_port(), has_browser), _environment(folder, inventory, environ)
    # SIGTERM and a closed terminal end the server as Ctrl-C does.
    with answered((signal.SIGINT, signal.SIGTERM, signal.SIGHUP), signal.default_int_handler), log.open("wb") as output:
        log.chmod(0o600)  # the server says its token there
        process = subprocess.Popen(
            argv, cwd=folder.parent, env=settings, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
        try:
            ready(_started(process, folder, log, settings))
            if process.wait() != 0:
                raise _ended(process, log)
        except KeyboardInterrupt:
            return
        finally:
            _stop(process)
            (folder / PRIVATE / STATE).unlink(missing_ok=True)


def running(folder: Path) -> Server | None:
    """The server that runs on this folder already; None where no server does."""
    state = _read(folder / PRIVATE / STATE)
    about = _read(Path(state["about"])) if state and identity(state["pid"]) == state["identity"] else {}
    return Server(state["pid"], _url(about, folder)) if about else None


def require_port(port: int) -> None:
    """Raises BadInput where the number is not a port's."""
    if not 0 <= port <= 65535:
        raise BadInput(f"--port {port} is not a port", advice="Name a port from 1 to 65535, or 0 for a free one.")


def _argv(folder: Path, port: int, has_browser: bool) -> list[str]:
    return [
        *(sys.executable, "-m", "jupyterlab"),
        f"--ServerApp.ip={ADDRESS}",
        f"--ServerApp.port={port}",
        f"--ServerApp.root_dir={folder.parent}",
        f"--LabApp.default_url=/lab/tree/{folder.name}/{INDEX}",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        *([] if has_browser else ["--no-browser"]),
        *(["--allow-root"] if os.geteuid() == 0 else []),
    ]


def _environment(folder: Path, inventory: Path | None, environ: Mapping[str, str]) -> dict[str, str]:
    """The variables of the server and its kernels. This interpreter's kernel comes before the user's of the same name."""
    private = folder / PRIVATE
    own = {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), environ.get("PATH", os.defpath)]),
        "JUPYTER_PREFER_ENV_PATH": "1",
        "JUPYTER_APP_LAUNCHER_PATH": str(private),
        "JUPYTER_CONFIG_PATH": os.pathsep.join(filter(None, [f"{private}/config", environ.get("JUPYTER_CONFIG_PATH")])),
    }
    return {**environ, **({VARIABLE: str(inventory)} if inventory else {}), **own}


def _started(process: subprocess.Popen[bytes], folder: Path, log: Path, environ: Mapping[str, str]) -> Server:
    """Waits for the server's runtime file, which has its address and token, and until the server listens, which comes later."""
    from jupyter_core.paths import jupyter_runtime_dir

    about = Path(environ.get("JUPYTER_RUNTIME_DIR") or jupyter_runtime_dir()) / f"jpserver-{process.pid}.json"
    deadline = time.monotonic() + STARTED_WITHIN_S
    _wait(process, log, deadline, lambda: bool(_read(about)))
    data = _read(about)
    if not data.get("token") and not data.get("password"):
        raise Refused(
            "your Jupyter configuration switches the token off, so that every user of this machine could deploy; JupyterLab was stopped",
            advice="Delete `token = ''` from that configuration; `jupyter --paths` lists its folders.",
        )
    _wait(process, log, deadline, lambda: _listens(int(data["port"])))
    state = {"pid": process.pid, "identity": identity(process.pid), "about": str(about)}
    write_text(folder / PRIVATE / STATE, json.dumps(state))
    return Server(process.pid, _url(data, folder))


def _wait(process: subprocess.Popen[bytes], log: Path, deadline: float, is_ready: Callable[[], bool]) -> None:
    while not is_ready():
        if process.poll() is not None:
            raise _ended(process, log)
        if time.monotonic() > deadline:
            raise Failed(f"JupyterLab did not start within {STARTED_WITHIN_S:g} s", advice=f"Read its log: {log}")
        time.sleep(0.05)


def _listens(port: int) -> bool:
    with socket.socket() as asked:
        return asked.connect_ex((ADDRESS, port)) == 0


def _free_port() -> int:
    with socket.create_server((ADDRESS, 0)) as listener:
        return int(listener.getsockname()[1])


def _read(path: Path) -> dict[str, Any]:
    """The JSON object of a file; empty where the file is not there or not whole yet."""
    with contextlib.suppress(OSError, ValueError):
        return dict(json.loads(path.read_text(encoding="utf-8")))
    return {}


def _url(about: Mapping[str, Any], folder: Path) -> str:
    token = f"?token={about['token']}" if about.get("token") else ""
    return f"http://{ADDRESS}:{about['port']}{about.get('base_url', '/')}lab/tree/{folder.name}/{INDEX}{token}"


def _ended(process: subprocess.Popen[bytes], log: Path) -> Failed:
    said = log.read_text(encoding="utf-8", errors="replace").splitlines()[-8:]
    return Failed("\n".join([f"JupyterLab ended with status {process.returncode}:", *said]), advice=f"Read the whole log: {log}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ends the server and its kernels. A run that is being applied goes on in a process of its own to a safe state."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOPPED_WITHIN_S)
    process.kill()  # does nothing to a process that has ended
    process.wait()
