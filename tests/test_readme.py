"""The README is a way in: short, the two commands first, a picture in both themes, and a page for each reader."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_two_commands_are_on_the_first_screen() -> None:
    first = "\n".join(README.splitlines()[:12])
    assert "make demo" in first
    assert "make test" in first


def test_it_is_short() -> None:
    assert len(README.splitlines()) <= 150


def test_it_leads_every_reader_to_a_page() -> None:
    table = re.search(r"^\| you \| begin with \|.*?\n\n", README, re.MULTILINE | re.DOTALL)
    assert table
    rows = table[0].strip().splitlines()[2:]
    assert len(rows) >= 8
    assert [row for row in rows if not re.search(r"\]\([^)]+\.md\)", row)] == []


def test_the_version_in_it_is_that_of_the_project() -> None:
    from balbook import __version__

    assert f"Version {__version__}" in README


def test_every_picture_is_shown_in_both_themes_and_made_by_make_pictures() -> None:
    kept = sorted(path.name for path in (ROOT / ".github" / "readme").iterdir())
    texts = [README, *(path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md"))]
    found = re.findall(r'(media="\(prefers-color-scheme: dark\)" srcset|src)="(?:\.\./)?\.github/readme/([^"]+)"', "\n".join(texts))
    made = re.search(r"^PICTURES := (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert made
    assert kept == sorted({name for _, name in found}) == sorted(f"{name}.png" for name in made[1].split())
    for how, name in found:
        assert name.endswith("-light.png" if how == "src" else "-dark.png")
