from __future__ import annotations

import base64
import re
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest

from balbook.errors import BadInput, Failed
from balbook.report.charts import spoken_s
from balbook.report.page import Report, measures_table, read_report, render_page, write_page
from tests.report.history import BEGIN, DAY, History, improving_months

NOW = BEGIN + 112 * DAY


@pytest.fixture(scope="module")
def months(tmp_path_factory: pytest.TempPathFactory) -> Report:
    records = tmp_path_factory.mktemp("records")
    improving_months(records)
    return read_report(records, since=None, now=NOW)


@pytest.fixture(scope="module")
def page(months: Report) -> str:
    return render_page(months, "acme & <sons>")


class Images(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.images: list[dict[str, str | None]] = []
        self.sources: list[dict[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("img", "source"):
            (self.images if tag == "img" else self.sources).append(dict(attrs))


def test_the_page_answers_at_its_top(months: Report, page: str) -> None:
    assert months.word == "better"
    assert "Yes, it is getting better" in page
    assert page.index("Yes, it is getting better") < page.index('class="cards"') < page.index("Over time")


def test_a_team_that_gets_worse_is_told_so(tmp_path: Path) -> None:
    improving_months(tmp_path, weeks=12, is_worsening=True)
    report = read_report(tmp_path, since=None, now=NOW)
    assert report.word == "worse"
    assert {t.name: t.verdict for t in report.trends}["Lead time"] == "worse"


def test_every_picture_says_in_words_what_it_shows_and_has_one_for_dark_paper(page: str) -> None:
    found = Images(page)
    assert len(found.images) == 7
    assert all(len(str(image["alt"])) > 30 for image in found.images)
    assert [source["media"] for source in found.sources] == ["(prefers-color-scheme: dark)"] * 7
    for image, source in zip(found.images, found.sources, strict=True):
        light, dark = (base64.b64decode(str(text).partition(",")[2]) for text in (image["src"], source["srcset"]))
        assert b"<svg" in light
        assert b"<svg" in dark
        assert light != dark


def test_the_page_needs_nothing_beside_it_and_runs_no_script(page: str) -> None:
    assert not re.search(r'(?:src|href|srcset)="(?!data:)', page)
    assert "<script" not in page


def test_words_of_users_are_escaped(page: str, tmp_path: Path) -> None:
    assert "acme &amp; &lt;sons&gt;" in page
    history = History(tmp_path)
    history.deploy("<b>1</b>", BEGIN, environment="<i>")
    text = render_page(read_report(tmp_path, since=None, now=NOW), "x")
    assert "<b>1</b>" not in text
    assert "&lt;b&gt;1&lt;/b&gt;" in text


def test_neither_plans_nor_the_labs_runs_are_counted_unless_asked(tmp_path: Path) -> None:
    history = History(tmp_path)
    history.deploy("1.0.0", BEGIN, lab=True)
    history.run("hot_deploy", BEGIN, mode="plan", lab=True)
    assert read_report(tmp_path, since=None, now=NOW).measures.deployments == 0
    report = read_report(tmp_path, since=None, now=NOW, include_lab=True)
    assert report.measures.deployments == 1
    assert "stand-in" in render_page(report, "lab")


def test_one_environment_is_counted_alone_and_the_page_says_which(tmp_path: Path) -> None:
    history = History(tmp_path)
    history.build("1.0.0", BEGIN)
    history.deploy("1.0.0", BEGIN + DAY, verdict="failed")
    history.deploy("1.0.0", BEGIN + 2 * DAY, environment="production")
    history.drill("active_active", "kill", BEGIN + DAY, 1.2)
    together = read_report(tmp_path, since=None, now=NOW)
    assert together.measures.failure_rate == 0.5
    assert "All environments count together: production, staging" in render_page(together, "x")
    production = read_report(tmp_path, since=None, now=NOW, environment="production")
    assert (production.measures.failure_rate, production.measures.deployments) == (0, 1)
    assert production.measures.lead_time_h == pytest.approx(48, abs=0.1)  # its build was made in staging
    assert sorted(production.runs["runbook"]) == ["build", "hot_deploy"]
    assert "Environment: production." in render_page(production, "x")
    assert production.data()["environments"] == ["production"]
    with pytest.raises(BadInput, match="prodution"):
        read_report(tmp_path, since=None, now=NOW, environment="prodution")


def test_plans_are_counted_among_the_runs_where_asked_and_never_as_deployments(tmp_path: Path) -> None:
    history = History(tmp_path)
    history.deploy("1.0.0", BEGIN)
    history.run("hot_deploy", BEGIN + DAY, mode="plan")
    report = read_report(tmp_path, since=None, now=NOW, include_plans=True)
    assert (len(report.runs), report.measures.deployments) == (2, 1)
    text = render_page(report, "x")
    assert "Counted runs: hot_deploy 1, hot_deploy (plan) 1." in text
    assert "2 runs, plans included" in text


def test_the_page_says_what_a_stopped_an_inconclusive_and_a_taken_back_deployment_are(page: str) -> None:
    for words in ("somebody asked to stop", "An inconclusive run counts by its effect", "took every instance back"):
        assert words in page


def test_without_a_record_there_is_a_page_that_says_so(tmp_path: Path) -> None:
    report = read_report(tmp_path / "nowhere", since=None, now=NOW)
    assert "Too few runs to say" in render_page(report, "x")


def test_a_change_is_judged_by_what_came_before_the_first_day_that_counts(tmp_path: Path) -> None:
    history = History(tmp_path)
    history.build("1.0.0", BEGIN)
    history.deploy("1.0.0", BEGIN + 2 * DAY)
    report = read_report(tmp_path, since=BEGIN + DAY, now=NOW)
    assert report.deployments["lead_time_h"].to_list() == pytest.approx([48], abs=0.1)
    assert list(report.runs["runbook"]) == ["hot_deploy"]


def test_the_same_records_give_the_same_page(tmp_path: Path) -> None:
    history = History(tmp_path)
    for day in range(6):
        history.deploy(f"1.{day}.0", BEGIN + day * DAY)
    first, second = (render_page(read_report(tmp_path, since=None, now=NOW), "x") for _ in range(2))
    assert first == second


def test_the_file_is_moved_into_place_or_nothing_is_left(months: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("balbook.report.page.render_page", lambda report, source: "<html>")
    assert write_page(months, "x", tmp_path / "report.html").read_text() == "<html>"
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
    with pytest.raises(Failed, match="cannot be written"):
        write_page(months, "x", tmp_path / "nowhere" / "report.html")


def test_the_table_has_every_measure_and_the_answer(months: Report) -> None:
    text = str(measures_table(months, Path("report.html")))
    assert "Is it getting better? better" in text
    assert [t.name for t in months.trends] == [line.split("  ")[0] for line in text.splitlines()[3:10]]
    assert text.endswith("report.html")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.256, "0.26 s"),
        (3.04, "3 s"),
        (59, "59 s"),
        (60, "1 min"),
        (5400, "1.5 h"),
        (172800, "2 days"),
        (timedelta(days=40).total_seconds(), "40 days"),
    ],
)
def test_times_are_spoken_in_their_own_unit(seconds: float, text: str) -> None:
    assert spoken_s(seconds) == text
