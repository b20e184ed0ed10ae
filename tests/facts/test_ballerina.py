"""Every parser of what `bal` prints and writes, against files of `parser`, `output` and the `value` (or `error`) that it makes."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from balbook.errors import BalbookError
from balbook.facts import Said, ballerina

FILES = sorted((Path(__file__).parents[1] / "data" / "ballerina").glob("*.json"))


def plain(value: Any) -> Any:
    """A parser's value as JSON would have it."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    return dict(value) if isinstance(value, Mapping) else value


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_parser_reads_what_bal_says(path: Path) -> None:
    data = json.loads(path.read_text(encoding="utf-8"))
    parse = getattr(ballerina, data["parser"])
    if "error" in data:
        with pytest.raises(BalbookError) as caught:
            parse(data["output"], *data.get("arguments", ()))
        assert data["error"] in caught.value.message
        assert caught.value.advice
    else:
        assert plain(parse(data["output"], *data.get("arguments", ()))) == data["value"]


def test_every_parser_has_files() -> None:
    names = {name for name in vars(ballerina) if name.startswith("parse_")}
    assert {json.loads(path.read_text())["parser"] for path in FILES} == names


@pytest.mark.parametrize(
    ("versions", "expected"),
    [
        (["0.9.0", "0.10.0", "0.2.1"], "0.10.0"),
        (["1.0.0", "2.0.0-beta.1"], "1.0.0"),
        (["2.0.0-beta.1", "2.0.0-alpha"], "2.0.0-beta.1"),
        (["latest", ""], None),
        ([], None),
    ],
)
def test_the_newest_version_is_the_highest_that_is_no_pre_release(versions: list[str], expected: str | None) -> None:
    assert ballerina.newest(versions) == expected


@pytest.mark.parametrize(("version", "java"), [("2201.8.4", 17), ("2201.10.0", 17), ("2201.11.0", 21), ("2201.13.5", 21), ("2202.0.0", 21)])
def test_a_distribution_says_which_java_it_needs(version: str, java: int) -> None:
    assert ballerina.java_needed(version) == java


def test_advice_follows_what_bal_says() -> None:
    said = "error: compilation failed: Two incompatible versions exist in the dependency graph: acme/linen versions: 0.1.0, 0.2.0"
    assert "consolidate" in ballerina.said(said).advice
    assert ballerina.said("error: something new") == Said()
