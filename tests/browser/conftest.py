"""A real JupyterLab on a lab, started and ended by `balbook jupyter`, and Chromium before it."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from balbook.lab import needs
from tests.browser.jupyter_page import SCREENSHOTS, WITHIN_MS, until
from tests.integration.conftest import deployed, hotel  # noqa: F401 - the lab that other tests with real servers use
from tests.integration.hotel import Hotel

playwright = pytest.importorskip("playwright.sync_api")

THEMES = "@jupyterlab/apputils-extension/themes.jupyterlab-settings"


@dataclass(frozen=True)
class Jupyter:
    """JupyterLab on `folder`, the copies of the runbooks. `url` leads to the index and has the token."""

    url: str
    folder: Path
    pid: int

    def ask(self, method: str, path: str) -> Any:
        """The server's answer to a request with the token."""
        address, _, token = self.url.partition("?token=")
        url = f"{address.partition('/lab/')[0]}/{path}"
        request = urllib.request.Request(url, method=method, headers={"Authorization": f"token {token}"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or "null")


@contextlib.contextmanager
def jupyter_on(hotel: Hotel, root: Path, *words: str, **variables: str) -> Iterator[Jupyter]:  # noqa: F811
    """`balbook jupyter` in the folder `root`, with Jupyter's own files below it too; ended by its id."""
    own = {f"JUPYTER_{what}_DIR": str(root / ".jupyter" / what.lower()) for what in ("RUNTIME", "CONFIG", "DATA")}
    settings = root / ".jupyter" / "user-settings"
    (settings / THEMES).parent.mkdir(parents=True)
    (settings / THEMES).write_text(json.dumps({"adaptive-theme": True}))
    environ = {**hotel.environ, **own, "JUPYTERLAB_SETTINGS_DIR": str(settings), "IPYTHONDIR": str(root / ".ipython"), **variables}
    argv = [sys.executable, "-m", "balbook", "jupyter", "--no-browser", "--port", "0", *words]
    said, complained = root / "jupyter.out", root / "jupyter.err"
    with said.open("w") as out, complained.open("w") as err:
        process = subprocess.Popen(argv, cwd=root, env=environ, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True)
    try:
        until(lambda: said.read_text().endswith("\n") or process.poll() is not None, "JupyterLab did not start", 120)
        assert process.poll() is None, complained.read_text()
        yield Jupyter(said.read_text().strip(), root / "jupyter", process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(40)


@pytest.fixture(scope="module")
def jupyter(deployed: Hotel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jupyter]:  # noqa: F811
    """JupyterLab as an engineer has it, on the session's lab."""
    with jupyter_on(deployed, tmp_path_factory.mktemp("jupyter")) as running:
        yield running


@pytest.fixture
def fresh(jupyter: Jupyter) -> Jupyter:
    """The same, without the kernels of earlier tests."""
    for session in jupyter.ask("GET", "api/sessions"):
        jupyter.ask("DELETE", f"api/sessions/{session['id']}")
    return jupyter


@pytest.fixture(scope="module")
def browser() -> Iterator[playwright.Browser]:
    """Debian's Chromium. Of a module, not the session: while Playwright runs, nothing else may start an event loop."""
    program = needs.find_program("chromium")
    if program is None:
        pytest.skip("missing for tests with a browser: chromium")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=str(program), args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield chromium
        chromium.close()


@pytest.fixture
def new_page(browser: playwright.Browser, request: pytest.FixtureRequest) -> Iterator[Callable[[], playwright.Page]]:
    """Makes tabs of 1280 by 800 pixels, each with cookies of its own; what stood there last is kept as a picture."""
    contexts = []

    def make() -> playwright.Page:
        contexts.append(browser.new_context(viewport={"width": 1280, "height": 800}))
        contexts[-1].set_default_timeout(WITHIN_MS)
        return contexts[-1].new_page()

    yield make
    for context in contexts:
        for page in context.pages:
            page.screenshot(path=SCREENSHOTS / "last" / f"{request.node.name}.png")
        context.close()


@pytest.fixture
def page(new_page: Callable[[], playwright.Page]) -> playwright.Page:
    return new_page()
