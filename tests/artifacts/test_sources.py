"""Sources of packages: directories, and commits of git repositories."""

from __future__ import annotations

import os
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from balbook.artifacts import sources
from balbook.commands import ballerina
from balbook.errors import BadInput, Failed, Refused, StoreError
from balbook.local.digests import sha256_of_file
from tests.registry_servers import served

ENVIRON = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
AUTHOR = ("-c", "user.name=Ada", "-c", "user.email=ada@example.invalid")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with a commit on `main` that has the tag `v1`, and a later one."""
    place = tmp_path / "rooms"
    place.mkdir()
    git(place, "-c", "init.defaultBranch=main", "init", "-q")
    for version in ("1", "2"):
        (place / "rooms.bal").write_text(f"// {version}\n")
        git(place, "add", "-A")
        git(place, *AUTHOR, "commit", "-q", "-m", version)
        if version == "1":
            git(place, *AUTHOR, "tag", "-a", "v1", "-m", "v1")
    return place


def git(place: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=place, check=True, capture_output=True, text=True, env=ENVIRON, timeout=30).stdout


@contextmanager
def answering_401() -> Iterator[str]:
    """A web server that wants a credential, as a private repository's does."""

    class Request(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with served(ThreadingHTTPServer(("127.0.0.1", 0), Request)) as url:
        yield f"{url}/acme/rooms.git"


def test_the_same_files_are_the_same_archive_whatever_their_times(tmp_path: Path) -> None:
    for name, time in (("a", 1_000_000_000), ("b", 1_700_000_000)):
        (tmp_path / name / "tests").mkdir(parents=True)
        for path in (tmp_path / name / "rooms.bal", tmp_path / name / "tests" / "rooms_test.bal"):
            path.write_text("// same\n")
            os.utime(path, (time, time))
    first, second = (sources.from_directory(tmp_path / name, tmp_path / "cache") for name in "ab")
    assert first.sha256 == second.sha256 == sha256_of_file(first.archive)
    (tmp_path / "b" / "rooms.bal").write_text("// other\n")
    assert sources.from_directory(tmp_path / "b", tmp_path / "cache").sha256 != first.sha256


def test_what_was_built_is_no_source(tmp_path: Path) -> None:
    for name in ("target/bin/x.jar", "generated/x.bal", ".git/HEAD", ".balbook-tested", "rooms.bal", "modules/target_of/x.bal"):
        (tmp_path / "p" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "p" / name).write_text("x")
    assert set(sources.from_directory(tmp_path / "p", tmp_path / "cache").files) == {"rooms.bal", "modules/target_of/x.bal"}


def test_a_digest_is_the_one_that_a_host_prints(tmp_path: Path) -> None:
    place = tmp_path / "p"
    for name in ("B.bal", "a.bal", "tests/t.bal", "tests-more/t.bal", "ä b.txt"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(name)
    (place / ".balbook-source").write_text("x")
    printed = subprocess.run(ballerina.tree_digest(str(place)).argv, capture_output=True, text=True, check=True, timeout=30).stdout.strip()
    assert printed == sources.tree_digest(sources.from_directory(place, tmp_path / "cache").files)


def test_a_branch_a_tag_and_a_commit_name_their_files(repository: Path, tmp_path: Path) -> None:
    commit = git(repository, "rev-parse", "main").strip()
    found = {ref: sources.from_git(f"git+file://{repository}@{ref}", tmp_path / "cache", ENVIRON) for ref in ("main", "v1", commit)}
    assert {ref: s.text("rooms.bal") for ref, s in found.items()} == {"main": "// 2\n", "v1": "// 1\n", commit: "// 2\n"}
    assert commit[:12] in found["main"].origin


def test_a_new_commit_on_the_branch_is_seen(repository: Path, tmp_path: Path) -> None:
    sources.from_git(f"git+file://{repository}@main", tmp_path / "cache", ENVIRON)
    (repository / "rooms.bal").write_text("// 3\n")
    git(repository, *AUTHOR, "commit", "-q", "-a", "-m", "3")
    assert sources.from_git(f"git+file://{repository}@main", tmp_path / "cache", ENVIRON).text("rooms.bal") == "// 3\n"


def test_a_ref_that_does_not_exist_is_named(repository: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"rooms@v9: the repository has no such branch, tag or commit"):
        sources.from_git(f"git+file://{repository}@v9", tmp_path / "cache", ENVIRON)


def test_a_repository_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Failed, match=r"nowhere@main: git refused"):
        sources.from_git(f"git+file://{tmp_path}/nowhere@main", tmp_path / "cache", ENVIRON)


def test_a_repository_that_wants_a_credential_is_named_and_nobody_is_asked(tmp_path: Path) -> None:
    with answering_401() as url, pytest.raises(Failed, match=r"rooms.git@main: git refused") as caught:
        sources.from_git(f"git+{url}@main", tmp_path / "cache", ENVIRON)
    assert "credential helper" in caught.value.advice


@pytest.mark.parametrize(
    "source",
    [
        "git+https://host/rooms.git",
        "git+https://host/rooms.git@",
        "git+https://host/rooms.git@main;id",
        "git+https://host/rooms.git@../main",
        "git+https://host/rooms.git@--upload-pack=id",
        "git+https://host/a b.git@main",
        "git+https://host/$(id).git@main",
        "git+ext::sh -c id@main",
        "git+--upload-pack=id@main",
    ],
)
def test_what_is_no_reference_is_refused_before_git_is_called(source: str) -> None:
    with pytest.raises(BadInput, match="is not git"):
        sources.parse_reference(source)


@pytest.mark.parametrize("user", ["ada:open-sesame", "ghp_open-sesame"])
def test_an_address_with_a_credential_is_refused_and_it_is_not_shown(user: str) -> None:
    with pytest.raises(BadInput, match="holds a credential") as caught:
        sources.parse_reference(f"git+https://{user}@host/rooms.git@main")
    assert "sesame" not in str(caught.value)


def test_a_user_of_ssh_is_no_credential() -> None:
    assert sources.parse_reference("git+ssh://git@host/rooms.git@v1") == ("ssh://git@host/rooms.git", "v1")


def test_an_archive_is_unpacked_beside_and_never_over_something(tmp_path: Path) -> None:
    (tmp_path / "evil").write_text("x")
    archive = tmp_path / "new.tar"
    with tarfile.open(archive, "w") as tar:
        for name in ("./rooms.bal", "tests/t.bal", "../../outside", "/absolute"):
            tar.add(tmp_path / "evil", name)
    sources.unpack_new(archive, tmp_path / "made")
    assert {p.relative_to(tmp_path / "made").as_posix() for p in (tmp_path / "made").rglob("*") if p.is_file()} <= {
        "rooms.bal",
        "tests/t.bal",
        "absolute",
    }
    assert not (tmp_path.parent / "outside").exists()
    with pytest.raises(Refused):
        sources.unpack_new(archive, tmp_path / "made")


def test_a_cache_that_cannot_be_written_is_said_with_what_to_do(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for read in (
        lambda: sources.from_directory(repository, tmp_path / "file" / ".sources"),
        lambda: sources.from_git(f"git+file://{repository}@main", tmp_path / "file" / ".sources"),
    ):
        with pytest.raises(StoreError) as refused:
            read()
        assert "`artifacts` in the inventory names the store" in refused.value.advice
