"""What a notebook shows as evidence: tables, and long logs with what counts in view."""

from __future__ import annotations

from balbook.show.table import Folded


def test_a_long_log_in_the_evidence_shows_its_error_lines_without_a_click() -> None:
    lines = [f"line {n}" for n in range(400)]
    lines[200] = "error: no such <table>"
    html = Folded("build1: bal build (failed, 3.0 s)", "\n".join(lines))._repr_html_()
    view, _, whole = html.partition("<details>")
    for shown in ("build1: bal build (failed, 3.0 s)", "line 0", "error: no such &lt;table&gt;", "line 399"):
        assert shown in view
    assert "line 150" not in view
    assert "line 150" in whole


def test_a_short_log_in_the_evidence_is_folded_under_its_title_unless_it_speaks_of_an_error() -> None:
    html = Folded("build1: bal test (changed, 3.0 s)", "2 passing\n0 failing")._repr_html_()
    assert html.startswith("<details><summary><b>build1: bal test (changed, 3.0 s)</b></summary>")
    assert "0 failing" in html
    html = Folded("build1: bal test (failed, 3.0 s)", "1 passing\nerror: there are test failures")._repr_html_()
    assert "<details>" not in html
    assert "error: there are test failures" in html


def test_a_terminal_has_the_last_lines() -> None:
    said = str(Folded("title", "\n".join(f"line {n}" for n in range(40)))).splitlines()
    assert (said[0], said[1], said[-1], len(said)) == ("title", "  line 28", "  line 39", 13)
