"""The stage that tests of the lab's `bal` stand on."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # pytest's import mode `importlib` leaves a test's own folder out

from bal_situations import Stage, stage  # found through the line above


@pytest.fixture
def bal_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Stage]:
    with stage(tmp_path, monkeypatch, capfd) as made:
        yield made
