"""Where runbooks and templates are, in a checkout and in an installed wheel."""

from __future__ import annotations

from pathlib import Path

import pytest

from balbook.errors import BalbookError
from balbook.local.resources import resource


def test_in_a_checkout_the_templates_stand_beside_the_package() -> None:
    assert resource("templates", "deployment", "inventory.yaml").is_file()
    assert resource("templates").is_dir()


def test_in_a_wheel_they_stand_inside_the_package(tmp_path: Path) -> None:
    inside = tmp_path / "balbook" / "_data" / "templates"
    inside.mkdir(parents=True)
    (tmp_path / "templates").mkdir()
    assert resource("templates", package=tmp_path / "balbook") == inside


def test_a_missing_resource_is_named_with_advice(tmp_path: Path) -> None:
    with pytest.raises(BalbookError, match="runbooks is missing") as caught:
        resource("runbooks", package=tmp_path / "balbook")
    assert "install it again" in caught.value.advice
