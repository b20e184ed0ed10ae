"""The rules that all tests are run by."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration  # each of these starts pytest anew: too dear for `make check`
CONFTEST = Path(__file__).parent / "conftest.py"
TESTS = """
import pytest
pytestmark = []
{mark}
def test_it():
    {body}
"""


def outcome(folder: Path, ci: str, *, mark: str = "", body: str = "pass") -> tuple[int, str]:
    (folder / "conftest.py").write_text(CONFTEST.read_text())
    (folder / "test_it.py").write_text(TESTS.format(mark=mark, body=body))
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "--rootdir", str(folder), str(folder)]
    shown = subprocess.run(argv, env={**os.environ, "CI": ci}, capture_output=True, text=True, check=False, timeout=60, cwd=folder)
    return shown.returncode, shown.stdout


@pytest.mark.parametrize("where", [{"mark": "@pytest.mark.skipif(True, reason='no s3')"}, {"body": "pytest.skip('no s3')"}])
def test_a_missing_component_is_a_failure_in_continuous_integration_and_a_skip_elsewhere(tmp_path: Path, where: dict[str, str]) -> None:
    assert outcome(tmp_path, "", **where)[0] == 0
    status, text = outcome(tmp_path, "true", **where)
    assert status == 1
    assert "no s3" in text


def test_a_module_that_needs_a_missing_package_is_a_failure_in_continuous_integration(tmp_path: Path) -> None:
    status, text = outcome(tmp_path, "true", mark="pytest.importorskip('balbook_absent')")
    assert status != 0
    assert "balbook_absent" in text


def test_what_does_not_apply_is_skipped_anywhere(tmp_path: Path) -> None:
    assert outcome(tmp_path, "true", body="pytest.skip('only on the moon')")[0] == 0


def test_no_lab_and_no_inventory_of_the_users_is_seen() -> None:
    from balbook.local.lab_place import running_labs

    assert running_labs(os.environ) == []
    assert "BALBOOK_INVENTORY" not in os.environ
