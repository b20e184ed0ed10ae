"""Anchors: the head leaves for a signed tag or a command, and is read back."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from balbook.errors import BadInput, RecordError
from balbook.inventory.models import Anchor, Records
from balbook.record.anchors import GitTag, Program, anchor
from balbook.record.ledger import Head, open_ledger
from balbook.record.seal import seal
from balbook.record.verify import verify_records
from tests.run_folders import BEGIN, Keys, clock, make_keys, run_folder, sealed

ENVIRON = {
    "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
}


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return make_keys(tmp_path)


def git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", "-C", folder, *words], env=ENVIRON, capture_output=True, text=True, check=True, timeout=30).stdout


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    if shutil.which("git") is None:
        pytest.skip("git is missing")
    folder = tmp_path / "ops"
    folder.mkdir()
    git(folder, "init", "--quiet")
    git(folder, "commit", "--quiet", "--allow-empty", "-m", "begin")
    git(tmp_path, "init", "--quiet", "--bare", "far.git")
    git(folder, "remote", "add", "origin", str(tmp_path / "far.git"))
    return folder


def test_a_signed_tag_holds_the_head_and_is_pushed(repository: Path, keys: Keys, tmp_path: Path) -> None:
    records = repository / "records"
    made = sealed(records, keys, 2)
    to = GitTag(repository, keys.key)
    head, told = anchor(open_ledger(records / "ledger"), to, environ=ENVIRON)
    assert made[1].entry
    assert head == made[1].entry.head
    assert told.endswith("pushed to origin")
    assert git(tmp_path / "far.git", "tag").split() == ["balbook-ledger-00000002"]
    git(repository, "tag", "--delete", "balbook-ledger-00000002")
    assert to.readable(ENVIRON, keys.trust) == ([head], []), "the remote still has it"
    assert verify_records(records, trust=keys.trust, anchors=[head]).exit_status == 0


def test_anchoring_twice_is_the_same_as_once(repository: Path, keys: Keys) -> None:
    sealed(repository / "records", keys, 1)
    ledger, to = open_ledger(repository / "records" / "ledger"), GitTag(repository, keys.key)
    assert anchor(ledger, to, environ=ENVIRON) == anchor(ledger, to, environ=ENVIRON)
    with pytest.raises(RecordError, match="anchors another entry 1"):
        to.put(Head(1, "0" * 64), ENVIRON)


def test_a_tag_of_a_stranger_does_not_count(repository: Path, keys: Keys, tmp_path: Path) -> None:
    sealed(repository / "records", keys, 1)
    stranger = make_keys(tmp_path, "eve")
    anchor(open_ledger(repository / "records" / "ledger"), GitTag(repository, stranger.key), environ=ENVIRON)
    heads, problems = GitTag(repository).readable(ENVIRON, keys.trust)
    assert heads == []
    assert problems[0].startswith("the tag balbook-ledger-00000001 was left out: ")


def test_an_anchor_that_cannot_be_read_whole_gives_what_it_has_and_says_the_rest(repository: Path, keys: Keys, tmp_path: Path) -> None:
    records = repository / "records"
    sealed(records, keys, 1)
    to, stranger = GitTag(repository, keys.key), make_keys(tmp_path, "eve")
    head, _ = anchor(open_ledger(records / "ledger"), to, environ=ENVIRON)
    GitTag(repository, stranger.key).put(Head(7, "0" * 64), ENVIRON)
    git(repository, "tag", "balbook-ledger-00000009", "-m", "no head")
    (tmp_path / "far.git").rename(tmp_path / "gone.git")
    heads, problems = to.readable(ENVIRON, keys.trust)
    assert heads == [head]
    told = [("only the tags of this clone" in p, "00000007 was left out" in p, "00000009 was left out" in p) for p in problems]
    assert told == [(True, False, False), (False, True, False), (False, False, True)]
    report = verify_records(records, trust=keys.trust, anchors=heads, unread=problems)
    assert report.exit_status == 3
    assert [f.is_open for f in report.checks[6].findings] == [True] * 3
    assert GitTag(tmp_path / "none").readable(ENVIRON)[1][0].startswith("could not be read: ")
    assert Program(["true"], read=["echo", "no head"]).readable(ENVIRON)[1][0].startswith("could not be read: ")


def test_a_command_gets_the_head_and_prints_what_it_kept(tmp_path: Path, keys: Keys) -> None:
    made = sealed(tmp_path / "records", keys, 1)
    kept = tmp_path / "kept"
    append = [sys.executable, "-c", "import sys; open(sys.argv[1], 'a').write(sys.stdin.read())", str(kept)]
    to = Program(append, read=["cat", str(kept)])
    head, told = anchor(open_ledger(tmp_path / "records" / "ledger"), to, environ=ENVIRON)
    assert made[0].entry
    assert kept.read_bytes() == head.line()
    assert to.readable(ENVIRON) == ([made[0].entry.head], [])
    assert "entry 1" in told


def test_what_cannot_be_anchored_or_read_is_said(tmp_path: Path, keys: Keys) -> None:
    with pytest.raises(BadInput, match="nothing to anchor"):
        anchor(open_ledger(tmp_path / "none"), Program(["true"]))
    sealed(tmp_path / "records", keys, 1)
    ledger = open_ledger(tmp_path / "records" / "ledger")
    with pytest.raises(RecordError, match="ended with 1"):
        anchor(ledger, Program(["false"]), environ=ENVIRON)
    with pytest.raises(RecordError, match="did not work"):
        anchor(ledger, Program(["/no/such/program"]), environ=ENVIRON)
    with pytest.raises(BadInput, match="needs a signing key"):
        anchor(ledger, GitTag(tmp_path), environ=ENVIRON)
    assert "true only takes heads" in Program(["true"]).readable(ENVIRON)[1][0]


def test_an_anchor_that_fails_is_a_note_of_the_seal(tmp_path: Path, keys: Keys) -> None:
    folder = run_folder(tmp_path / "records")
    now = clock(BEGIN + timedelta(minutes=1))
    made = seal(folder, open_ledger(tmp_path / "records" / "ledger"), sign_with=keys.key, anchor=Program(["false"]), now=now)
    assert made.entry
    assert made.notes[0].startswith("not anchored: ")


def test_the_inventory_says_which_anchor() -> None:
    assert Records(anchor=Anchor(kind="command", command=["tee", "/x"])).anchor
    for wrong in ({"kind": "command"}, {"kind": "git_tag", "command": ["x"]}):
        with pytest.raises(ValueError, match="`command` belongs to the kind `command`"):
            Anchor.model_validate(wrong)
