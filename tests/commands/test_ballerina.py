"""What `bal` is asked on a build host, held against what it prints."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from balbook.commands import ballerina

HEAD = "|TOOL ID               |VERSION         |REPO       |\n|----------------------|----------------|-----------|\n"
OURS, OLD, NEW = "* 1.1.0", "  1.0.0", "  1.1.0"


def row(version: str, name: str = "consolidate-packages", repository: str = "central") -> str:
    return f"|{name:<22}|{version:<16}|{repository:<11}|\n"


@pytest.mark.parametrize(
    ("listed", "is_there"),
    [
        (HEAD + row(OURS), True),
        (HEAD + row("health", "* 2.3.4") + row(OURS) + row(OLD), True),
        (HEAD + row(OURS, repository="local"), True),
        (HEAD + row(NEW) + row("* 1.0.0"), False),
        (HEAD + row("* 1.1.0-rc1"), False),
        (HEAD + row("* 11.1.0"), False),
        (HEAD + row(OURS, name="my-consolidate-packages"), False),
        ("no tools found locally.\n", False),
    ],
)
def test_the_tool_is_there_where_its_version_is_the_one_in_force(tmp_path: Path, listed: str, is_there: bool) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "listed").write_text(listed)
    (tmp_path / "bin" / "bal").write_text(f'#!/bin/sh\n[ "$*" = "tool list" ] && cat {tmp_path}/listed\n')
    (tmp_path / "bin" / "bal").chmod(0o755)
    done = subprocess.run(ballerina.has_tool(str(tmp_path)).argv, timeout=20, check=False)
    assert (done.returncode == 0) == is_there
