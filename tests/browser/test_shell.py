"""What stands around the runbooks: the index, the launcher's tiles, the token; and a runbook without its form."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from balbook.jupyter.forms.style import CSS as forms_css
from balbook.show.table import CSS as tables_css
from tests.browser.conftest import Jupyter, jupyter_on
from tests.browser.jupyter_page import WITHIN_MS, open_lab, take_pictures
from tests.integration.hotel import GOOD, Hotel

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect

pytestmark = pytest.mark.browser


def test_the_index_tells_what_is_deployed_and_leads_to_a_runbook(jupyter: Jupyter, hotel: Hotel, page: sync_api.Page) -> None:
    notebook = open_lab(page, jupyter.url)
    for instance in hotel.running():
        row = notebook.panel.locator("table.bb tr", has_text=instance)
        expect(row).to_contain_text(re.compile(rf"({'|'.join(map(re.escape, GOOD))})-[0-9a-f]{{12}}acme/rooms \d"))
        expect(row).to_contain_text("yes")
    assert len(hotel.running()) == 2
    take_pictures(page, "index")
    notebook.panel.get_by_role("link", name="hot_deploy", exact=True).last.click()
    expect(page.locator("h1", has_text="Hot-deploy an application")).to_be_visible()
    expect(page.locator(".lm-DockPanel-tabBar .lm-mod-current", has_text="hot_deploy.ipynb")).to_be_visible()


def test_the_index_is_brought_up_to_date_by_running_it(jupyter: Jupyter, hotel: Hotel, page: sync_api.Page) -> None:
    before = hotel.records()
    assert hotel.balbook("plan", "provision", "-p", "reason=for the index").returncode == 0
    run_id = hotel.new_record(before).name.rpartition("-")[2]
    notebook = open_lab(page, jupyter.url)
    assert notebook.panel.get_by_text(run_id).count() == 0
    notebook.run_all()
    notebook.panel.get_by_role("link", name=run_id).click()
    expect(page.locator(".lm-DockPanel-tabBar .lm-mod-current", has_text=f"provision-{run_id}.ipynb")).to_be_visible()


@pytest.mark.parametrize("css", [forms_css, tables_css], ids=["forms", "tables"])
def test_what_is_folded_is_printed(page: sync_api.Page, css: str) -> None:
    page.set_content(f"{css}<div class='bb-box'><details><summary>Diff</summary><pre id='diff'>+new</pre></details></div>")
    height = "Math.round(document.querySelector('details').getBoundingClientRect().height)"
    folded = page.evaluate(height)
    page.emulate_media(media="print")
    assert page.evaluate(height) > folded + 10
    assert page.locator("#diff").is_visible()


def test_the_launcher_has_a_tile_for_each_runbook(jupyter: Jupyter, page: sync_api.Page) -> None:
    open_lab(page, jupyter.url)
    page.keyboard.press("Control+Shift+L")
    tile = page.locator(".jp-LauncherCard", has_text="Provision hosts")
    tile.scroll_into_view_if_needed()
    take_pictures(page, "launcher")
    assert page.locator(".jp-LauncherCard", has_text="All runbooks").count() == 1
    tile.click()
    expect(page.locator("h1", has_text="Provision hosts")).to_be_visible()


def test_nobody_gets_in_without_the_token(jupyter: Jupyter) -> None:
    address = jupyter.url.partition("/lab/")[0]
    assert address.startswith("http://127.0.0.1:")
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(f"{address}/api/contents", timeout=20)
    token = jupyter.url.partition("token=")[2]
    assert len(token) >= 40
    everybody_sees = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline")]
    assert not [line for line in everybody_sees if token.encode() in line]


def test_a_runbook_without_a_form_is_run_cell_by_cell(hotel: Hotel, page: sync_api.Page, tmp_path: Path) -> None:
    shipped = json.loads((Path(__file__).parents[2] / "runbooks" / "provision.ipynb").read_text())
    with jupyter_on(hotel, tmp_path, BALBOOK_FORMS="off") as jupyter:
        notebook = open_lab(page, jupyter.url, "jupyter/provision.ipynb")
        notebook.run("parameters", "setup", "preflight", "plan", "apply", "verify", "evidence", "conclude")
        expect(notebook.output("conclude")).to_contain_text("planned", timeout=WITHIN_MS)
        take_pictures(page, "without_a_form")
        expect(notebook.output("apply")).to_contain_text("Plan mode: nothing was changed.")
        expect(notebook.output("plan")).to_contain_text("Nothing to do: every step is done already.")
    assert json.loads((Path(__file__).parents[2] / "runbooks" / "provision.ipynb").read_text()) == shipped


def test_a_runbook_of_ones_own_has_a_form_and_a_plan_too(jupyter: Jupyter, hotel: Hotel, page: sync_api.Page) -> None:
    assert hotel.balbook("new-runbook", "leave_note", cwd=jupyter.folder.parent).returncode == 0
    notebook = open_lab(page, jupyter.url, "leave_note.ipynb")
    notebook.run("parameters", "setup")
    form = notebook.see("setup", ".bb-form")
    form.locator(".bb-field-text input").fill("from the form")
    form.locator(".bb-field-text input").press("Tab")
    expect(form.locator(".bb-command")).to_contain_text("from the form")
    notebook.run("preflight", "plan")
    expect(notebook.output("plan")).to_contain_text("the note is there")
