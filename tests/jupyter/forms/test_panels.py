"""Panels: long logs with every error line in view, values that cannot be markup, words beside colours."""

from __future__ import annotations

import pytest

from balbook.jupyter.forms.panels import Trouble, error, table, verdict, waiting
from balbook.show.table import folded_log


def test_a_long_log_shows_its_first_and_last_lines_and_every_error_line() -> None:
    lines = [f"line {n}" for n in range(400)]
    lines[200] = "ERROR: no such table"
    lines[300] = "java.lang.IllegalStateException: closed"
    html = folded_log("\n".join(lines))
    view, _, whole = html.partition("<details>")
    for shown in ("line 0", "line 2", "ERROR: no such table", "IllegalStateException", "line 399", "… 197 lines …"):
        assert shown in view
    assert "line 150" not in view
    assert "line 150" in whole
    assert "All 400 lines" in whole


def test_a_log_full_of_errors_says_how_many_are_left_out() -> None:
    html = folded_log("\n".join(f"failed {n}" for n in range(100)))
    assert "the first 20 lines about errors; 80 more lines are about errors" in html


@pytest.mark.parametrize("text", ["", "\n", "short\nlog"])
def test_a_short_log_is_not_folded(text: str) -> None:
    assert "<details>" not in folded_log(text)


def test_a_table_whose_columns_have_no_names_has_no_head() -> None:
    assert "<thead>" not in table(("", ""), [["record", "here"]])
    assert "<thead><tr><th scope='col'>host</th>" in table(("host", ""), [["app1", ""]])


def test_a_stop_is_not_called_a_failure() -> None:
    html = error(Trouble("stopped on request (Stop safely)", heading="Stop")).html
    assert html.index("<h4>Stop</h4>") < html.index("stopped on request")
    assert "Failure" not in html


def test_no_value_becomes_markup() -> None:
    bad = "<img src=x onerror=alert(1)>`<b>`**<i>**"
    for html in (waiting(bad, bad).html, error(Trouble(bad, bad, bad, [bad], bad, [bad], bad)).html, verdict("failed", bad, bad, bad).html):
        assert "<img" not in html
        assert "<i>" not in html


def test_a_verdict_is_a_sign_and_a_word_not_a_colour_alone() -> None:
    words = {word: verdict(word, "", "hot_deploy", "1").html for word in ("succeeded", "planned", "failed", "inconclusive")}
    signs = {word: html.partition("<b>")[2][0] for word, html in words.items()}
    assert len(set(signs.values())) == 4
    assert all(f" {word}</b>" in html for word, html in words.items())
