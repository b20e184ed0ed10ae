"""The stage that tests of the lab's `bal` stand on."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from bal_situations import Stage, stage


@pytest.fixture
def bal_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Stage]:
    with stage(tmp_path, monkeypatch, capfd) as made:
        yield made
