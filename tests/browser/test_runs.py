"""An engineer runs `hot_deploy` in JupyterLab: form, plan, confirmation, a live view, a stop, a closed tab, a failure."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from nbconvert import HTMLExporter

from tests.browser.conftest import Jupyter
from tests.browser.jupyter_page import WITHIN_MS, Notebook, open_lab, photograph, take_pictures, until
from tests.integration.hotel import ENDS_AT_START, Hotel, last, wait_for

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect

pytestmark = pytest.mark.browser
RUNBOOK = "jupyter/hot_deploy.ipynb"


def fill(notebook: Notebook, release: str, reason: str, inventory: Path | None = None) -> None:
    """The form, for a deployment of the hotel; each field as a person would."""
    notebook.run("parameters", "setup")
    form = notebook.see("setup", ".bb-form")
    if inventory:
        form.locator(".bb-field-inventory input").fill(str(inventory))
        form.locator(".bb-field-inventory input").press("Tab")
    choose(notebook, "mode", "apply")
    choose(notebook, "application", "hotel")
    choose(notebook, "release", release)
    form.locator(".bb-field-reason input").fill(reason)
    form.locator(".bb-field-reason input").press("Tab")
    expect(form.locator(".bb-command")).to_contain_text(f"reason={reason}")
    expect(form.locator(".bb-form-state")).to_contain_text("Ready.")


def choose(notebook: Notebook, field: str, beginning: str) -> None:
    """The choice of a field that begins so."""
    box = notebook.see("setup", f".bb-field-{field}")
    option = until(
        lambda: next((t for t in box.locator("option").all_inner_texts() if t.startswith(beginning)), ""), f"{field}: {beginning}"
    )
    box.locator("select").select_option(label=option.replace("\N{NO-BREAK SPACE}", " "))


def start_applying(notebook: Notebook) -> None:
    """Up to the button, and the click in it."""
    notebook.run("preflight", "plan", "apply")
    notebook.see("apply", ".bb-apply-button").click()
    live(notebook).wait_for(state="attached")


def live(notebook: Notebook, role: str = "apply") -> sync_api.Locator:
    return notebook.output(role).locator(".bb-live")


def number(view: sync_api.Locator, what: str) -> int:
    return int(view.get_attribute(f"data-{what}") or 0)


def until_applied(notebook: Notebook, role: str = "apply") -> None:
    """The view says so, and that the next cells may be run."""
    expect(live(notebook, role)).to_have_attribute("data-state", "succeeded", timeout=WITHIN_MS)
    expect(notebook.output(role).locator(".bb-outcome").first).to_contain_text("Applied: succeeded", timeout=WITHIN_MS)


def verdict(notebook: Notebook, role: str) -> sync_api.Locator:
    return notebook.see(role, ".bb-verdict")


def test_a_deployment_from_the_form_to_its_verdict(fresh: Jupyter, hotel: Hotel, new_page: Callable[[], sync_api.Page]) -> None:
    page = new_page()
    production = hotel.lab.inventory.with_name("production.yaml")
    hotel.edited(production, lambda data: data.update(environment="production"))
    old, release, before = set(hotel.running().values()), hotel.other(), hotel.records()
    notebook = open_lab(page, fresh.url, RUNBOOK)
    fill(notebook, release, "night shift", production)
    take_pictures(page, "form")
    notebook.run("preflight", "plan", "apply")
    assert re.fullmatch(r"[0-9a-f]{64}", notebook.see("plan", ".bb-digest").inner_text())
    take_pictures(page, "plan")

    button = notebook.see("apply", ".bb-apply-button")
    expect(button).to_be_disabled()
    notebook.output("apply").locator(".bb-confirm input").fill("motel")
    expect(notebook.output("apply").locator(".bb-confirm-state")).to_have_text("That is not hotel.")
    expect(button).to_be_disabled()
    take_pictures(page, "confirm")
    assert set(hotel.running().values()) == old
    notebook.output("apply").locator(".bb-confirm input").fill("hotel")
    expect(button).to_be_enabled()
    button.click()

    view = live(notebook)
    first = until(lambda: number(view, "samples"), "no sample is in the chart")
    until(lambda: number(view, "samples") > first, "the chart's data do not grow")
    wait_for(hotel.new_record(before), "step_finished", step=f"admit {hotel.inventory.applications['hotel'].instances[0].name}")
    view.evaluate("element => element.scrollIntoView()")
    take_pictures(page, "live")
    until_applied(notebook)
    notebook.run("verify", "evidence", "conclude")
    expect(verdict(notebook, "conclude")).to_have_attribute("data-verdict", "succeeded")
    take_pictures(page, "verdict")
    assert set(hotel.running().values()) == {release}
    record = hotel.new_record(before)
    until(lambda: (record / "statement.json").exists(), "no seal")
    photograph(new_page(), record / "hot_deploy.ipynb", "hot_deploy")


@pytest.mark.crash  # three minutes
def test_the_notebook_of_a_deployment_of_three_minutes_is_small_and_reads_without_widgets(
    fresh: Jupyter, hotel: Hotel, page: sync_api.Page
) -> None:
    unhurried = hotel.lab.inventory.with_name("unhurried.yaml")
    hotel.edited(unhurried, lambda data: data["applications"]["hotel"].update(rollout={"min_healthy_s": 85}))
    before = hotel.records()
    notebook = open_lab(page, fresh.url, RUNBOOK)
    fill(notebook, hotel.other(), "unhurried", unhurried)
    start_applying(notebook)
    expect(live(notebook)).to_have_attribute("data-state", "succeeded", timeout=300_000)
    until_applied(notebook)
    notebook.run("verify", "evidence", "conclude")
    expect(verdict(notebook, "conclude")).to_have_attribute("data-verdict", "succeeded")
    record = hotel.new_record(before)
    until(lambda: (record / "statement.json").exists(), "no seal")
    took = [datetime.fromisoformat(last(record, event)["at"]) for event in ("apply_started", "apply_finished")]
    assert (took[1] - took[0]).total_seconds() > 175
    for kept in (record / "hot_deploy.ipynb", fresh.folder / "hot_deploy.ipynb"):
        assert kept.stat().st_size < 2_000_000, kept
    read, _ = HTMLExporter().from_filename(str(record / "hot_deploy.ipynb"))
    assert "widget-view" not in (record / "hot_deploy.ipynb").read_text()
    digest = last(record, "planned")["digest"]
    for content in (digest, "Applied: succeeded", "is healthy for 85 s", "requests", "data:image/png", "✔ succeeded"):
        assert content in read, content


def test_stop_ends_in_a_safe_state_and_says_so(fresh: Jupyter, hotel: Hotel, page: sync_api.Page) -> None:
    before = hotel.records()
    notebook = open_lab(page, fresh.url, RUNBOOK)
    fill(notebook, hotel.other(), "to be stopped")
    start_applying(notebook)
    expect(notebook.output("apply").locator(".bb-stop")).to_be_focused()
    record = hotel.new_record(before)
    wait_for(record, "step_finished", step=f"drain {hotel.inventory.applications['hotel'].instances[0].name}")
    notebook.see("apply", ".bb-stop").click()
    expect(live(notebook)).to_have_attribute("data-state", re.compile("stopping|failed"))
    expect(live(notebook)).to_have_attribute("data-state", "failed", timeout=WITHIN_MS)
    assert verdict(notebook, "apply").get_attribute("data-verdict") == "failed"
    take_pictures(page, "stopped")
    expect(notebook.see("apply", ".bb-panel-error")).to_contain_text("Stop")
    assert str(last(record, "apply_finished")["why"]).startswith("stopped on request (Stop safely)")
    assert len(hotel.running()) == 2


def test_a_closed_tab_changes_nothing_and_is_caught_up_with(fresh: Jupyter, hotel: Hotel, new_page: Callable[[], sync_api.Page]) -> None:
    release, before, tab = hotel.other(), hotel.records(), new_page()
    notebook = open_lab(tab, fresh.url, RUNBOOK)
    fill(notebook, release, "a tab is closed")
    start_applying(notebook)
    seen = until(lambda: number(live(notebook), "events"), "no event is seen")
    tab.close()

    record = hotel.new_record(before)
    again = open_lab(new_page(), fresh.url, RUNBOOK)
    again.run("setup")
    view = live(again, "setup")
    assert until(lambda: number(view, "events"), "the view is not rebuilt") >= seen
    until_applied(again, "setup")
    again.run("verify", "evidence", "conclude")
    expect(verdict(again, "conclude")).to_have_attribute("data-verdict", "succeeded")
    assert last(record, "apply_finished")["verdict"] == "succeeded"
    assert set(hotel.running().values()) == {release}


def test_a_failing_deployment_says_what_to_do(fresh: Jupyter, hotel: Hotel, page: sync_api.Page) -> None:
    good = hotel.running()
    notebook = open_lab(page, fresh.url, RUNBOOK)
    fill(notebook, ENDS_AT_START, "a bad release")
    start_applying(notebook)
    panel = notebook.see("apply", ".bb-panel-error")
    for heading in ("Failure", "Place", "Last lines", "State now", "Next step"):
        expect(panel).to_contain_text(heading)
    take_pictures(page, "failed")
    expect(panel).to_contain_text("and wait until it is healthy")  # the step itself, not what was taken back after it
    expect(panel).to_contain_text("app1")
    assert verdict(notebook, "apply").get_attribute("data-verdict") == "failed"
    assert hotel.running() == good
