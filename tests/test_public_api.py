"""What `import balbook` offers, and what it costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import balbook


def test_the_public_names_are_sorted_and_those_that_load_lazily() -> None:
    assert balbook.__all__ == sorted(balbook.__all__)
    assert set(balbook.__all__) == set(balbook._HOME)


@pytest.mark.parametrize("name", balbook.__all__)
def test_a_public_name_loads_and_is_explained(name: str) -> None:
    assert getattr(balbook, name).__doc__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'opne_run'"):
        balbook.opne_run  # noqa: B018


def test_importing_balbook_loads_nothing_else() -> None:
    code = "import sys, balbook; print(sorted(m for m in sys.modules if m.startswith('balbook.')))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
