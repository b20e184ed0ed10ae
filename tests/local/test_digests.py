"""Digests are sha256 in hexadecimal, as other programs compute them."""

from __future__ import annotations

import subprocess
from pathlib import Path

from balbook.local.digests import canonical, sha256_of, sha256_of_file


def test_a_text_its_bytes_and_a_file_of_them_have_the_digest_that_sha256sum_has(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("Übergabe\n", encoding="utf-8")
    said = subprocess.run(["sha256sum", path], capture_output=True, text=True, check=True).stdout.split()[0]
    assert sha256_of("Übergabe\n") == sha256_of(path.read_bytes()) == sha256_of_file(path) == said


def test_one_value_has_one_text() -> None:
    assert canonical({"b": [1, 2.5, None], "a": "ü"}) == canonical({"a": "ü", "b": [1, 2.5, None]}) == '{"a":"ü","b":[1,2.5,null]}'.encode()
