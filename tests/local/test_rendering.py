"""Templates: nothing is left out silently, nothing is escaped."""

from __future__ import annotations

from typing import Any

import jinja2
import pytest

from balbook.local.rendering import render

VALUES: dict[str, Any] = {
    "name": "public",
    "user": "",
    "shutdown_timeout": "65s",
    "place": {"pid_file": "/p", "error_log": "/e", "temporary": "/t", "directory": "/d"},
}


def test_a_value_that_nobody_gave_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError, match="shutdown_timeout"):
        render("balancer/nginx.conf.j2", **{k: v for k, v in VALUES.items() if k != "shutdown_timeout"})


def test_values_are_not_escaped_as_if_for_html() -> None:
    assert "include /d&<'/*.conf;" in render("balancer/nginx.conf.j2", **{**VALUES, "place": {**VALUES["place"], "directory": "/d&<'"}})


def test_a_rendered_text_ends_in_one_newline() -> None:
    text = render("balancer/nginx.conf.j2", **VALUES)
    assert text.endswith("}\n")
    assert not text.endswith("\n\n")


def test_values_in_a_page_are_escaped() -> None:
    head = {"number": 1, "entry_sha256": "ab"}
    assert "<title>a &lt;b&gt;</title>" in render("records/index.html.j2", title="a <b>", rows=(), head=head)
