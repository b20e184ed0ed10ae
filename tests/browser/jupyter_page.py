"""JupyterLab in Chromium, as an engineer has it before them: open a notebook, run a cell, look."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbconvert import HTMLExporter
from playwright.sync_api import Error, Locator, Page, expect

import balbook

ROOT = Path(balbook.__file__).parents[1]
SCREENSHOTS = ROOT / ".cache" / "screenshots"
"""Kept after a test run, so that somebody can look."""
CELLS = ("title", "parameters", "setup", "preflight", "plan", "apply", "verify", "evidence", "conclude", "rollback")
WITHIN_MS = 60_000
expect.set_options(timeout=WITHIN_MS)
THEMES = {"light": "true", "dark": "false"}
WHAT_COUNTS = """
body.jp-Notebook,main{padding:12px 20px!important;margin:0!important;overflow:visible}
.jp-Cell,.jp-OutputArea-child,.jp-OutputPrompt,.jp-Collapser{display:none!important;padding:0!important}
.jp-Cell:has(h1,.bb-plan,img,.bb-verdict),.jp-OutputArea-child:has(.bb-plan,img,.bb-verdict){display:block!important}
.jp-CodeCell .jp-InputArea,.jp-InputPrompt,.jp-RenderedMarkdown>:not(h1),.bb-plan details{display:none!important}
"""
"""Leaves of an executed notebook's page the title, the plan, the plot and the verdict."""


@dataclass(frozen=True)
class Notebook:
    """The notebook of the tab in front; its cells are called by their roles."""

    page: Page

    @property
    def panel(self) -> Locator:
        return self.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")

    def cell(self, role: str) -> Locator:
        return self.panel.locator(f'.jp-Cell[data-windowed-list-index="{CELLS.index(role)}"]')

    def output(self, role: str) -> Locator:
        return self.cell(role).locator(".jp-Cell-outputWrapper")

    def show(self, role: str) -> Locator:
        """Scrolls until the cell is there: JupyterLab keeps only those in the page that are near what is seen."""
        cell, wanted = self.cell(role), CELLS.index(role)
        for _ in range(80):
            if cell.count():
                with contextlib.suppress(Error):  # drawn anew meanwhile
                    cell.scroll_into_view_if_needed(timeout=5000)
                    return cell
            there = self.panel.locator(".jp-Cell").first.get_attribute("data-windowed-list-index")
            self.panel.locator(".jp-WindowedPanel-outer").hover(position={"x": 20, "y": 300})
            self.page.mouse.wheel(0, 400 if int(there or 0) < wanted else -400)
            self.page.wait_for_timeout(50)
        raise AssertionError(f"cell {role} is not there")

    def start(self, role: str) -> Any:
        """Runs a cell and waits until it has begun."""
        prompt = self.show(role).locator(".jp-InputPrompt")
        before = prompt.inner_text()
        for _ in range(4):  # a key that comes before the editor is ready is lost
            prompt.click()
            expect(self.cell(role)).to_have_class(re.compile("jp-mod-active"))
            self.page.keyboard.press("Control+Enter")
            with contextlib.suppress(AssertionError):  # twice in a slow browser would be a cell that was run twice
                return until(lambda: prompt.inner_text() != before, f"cell {role} did not begin", 15)
        raise AssertionError(f"cell {role} did not begin")

    def run(self, *roles: str) -> None:
        """Runs these cells one after the other, and waits for each to end."""
        for role in roles:
            self.start(role)
            expect(self.cell(role).locator(".jp-InputPrompt")).to_have_text(re.compile(r"^\[\d+\]:$"), timeout=WITHIN_MS)
            if role not in CELLS[:3]:  # those say where the values come from, where a run is open already
                assert not self.output(role).locator(".bb-waiting").count(), self.output(role).inner_text()

    def run_all(self) -> None:
        """Run > Run All Cells."""
        self.page.get_by_role("menubar").get_by_text("Run", exact=True).click()
        self.page.get_by_role("menuitem", name="Run All Cells", exact=True).click()

    def see(self, role: str, selector: str) -> Locator:
        """The part of a cell's output, once it is there and scrolled into view."""
        self.show(role)
        found = self.output(role).locator(selector).first
        for _ in range(20):  # what is drawn anew meanwhile is another element
            found.wait_for(state="attached", timeout=WITHIN_MS)
            with contextlib.suppress(Error):
                found.scroll_into_view_if_needed(timeout=5000)
                return found
        raise AssertionError(f"{selector} of {role} does not come to rest")


def open_lab(page: Page, url: str, path: str = "") -> Notebook:
    """Opens JupyterLab at this notebook, else the index; with a workspace of its own, so that no earlier tab is there."""
    address, _, token = url.partition("?")
    base = address.partition("/lab/tree/")[0]
    target = path or address.partition("/lab/tree/")[2]
    page.goto(f"{base}/lab/workspaces/w{time.monotonic_ns()}/tree/{target}?{token}")
    notebook = Notebook(page)
    notebook.panel.wait_for(timeout=WITHIN_MS)
    # A cell that is run before there is a kernel makes JupyterLab ask for one.
    page.locator("#jp-main-statusbar").get_by_text("| Idle").wait_for(timeout=WITHIN_MS)
    return notebook


def take_pictures(page: Page, name: str, folder: Path = SCREENSHOTS) -> list[Path]:
    """A picture in each theme."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for theme, is_light in THEMES.items():
        page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        page.locator(f'body[data-jp-theme-light="{is_light}"]').wait_for(state="attached")
        made.append(folder / f"{name}-{theme}.png")
        page.screenshot(path=made[-1], animations="disabled")
    page.emulate_media(color_scheme="light")
    return made


def photograph(page: Page, notebook: Path, name: str, folder: Path = SCREENSHOTS) -> list[Path]:
    """A picture in each theme of an executed notebook as HTML: title, plan, plot and verdict, without the cells' code."""
    page.route(re.compile("^https?:"), lambda route: route.abort())
    page.set_viewport_size({"width": 1100, "height": 800})
    made = []
    for theme in THEMES:
        html, _ = HTMLExporter(template_name="lab", theme=theme).from_filename(str(notebook))
        page.set_content(html, wait_until="domcontentloaded")
        page.add_style_tag(content=WHAT_COUNTS)
        made.append(folder / f"{name}-{theme}.png")
        page.locator("main").screenshot(path=made[-1], animations="disabled")
    return made


def until(is_so: Callable[[], Any], what: str, within_s: float = 60) -> Any:
    """What `is_so` returns once that is true."""
    deadline = time.monotonic() + within_s
    while not (found := is_so()):
        assert time.monotonic() < deadline, f"{what} (within {within_s:g} s)"
        time.sleep(0.05)
    return found
