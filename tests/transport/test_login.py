"""Whom a login trusts, and what it advises: with an SSH server in this process."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from balbook.errors import HostKeyError, LoginRefused
from balbook.transport.login import Endpoint, log_in
from tests.transport.ssh_server import Server

OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJ5HnyIdnH7Yq9DPlwLfTCU5FMGyKLx0eGLyCZJ3oMu"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    made = Server(tmp_path)
    yield made
    made.close()


def log_in_with(server: Server, *known_hosts: Path, port: int = 22) -> None:
    endpoint = Endpoint("app1", "10.0.0.1", port, "ops", (str(server.identity),), tuple(map(str, known_hosts)))
    log_in(endpoint, server.connect).close()


def known(file: Path, *lines: str) -> Path:
    file.write_text("".join(f"{line}\n" for line in lines))
    return file


@pytest.mark.parametrize(("port", "name"), [(22, "10.0.0.1"), (2222, "[10.0.0.1]:2222")])
def test_the_advice_after_a_changed_host_key_takes_it_out_of_every_file(server: Server, tmp_path: Path, port: int, name: str) -> None:
    first = known(tmp_path / "the first", f"{name} {OTHER}", f"10.0.0.2 {OTHER}")
    second, absent = known(tmp_path / "second", f"lb1 {OTHER}", f"{name},also {OTHER}"), tmp_path / "absent"
    third = known(tmp_path / "third", f"10.0.0.2 {OTHER}")
    with pytest.raises(HostKeyError, match="app1: its host key has changed: expected SHA256:") as caught:
        log_in_with(server, absent, first, second, third, port=port)
    command = caught.value.advice.partition(" with ")[2].partition("; if not")[0]
    subprocess.run(["sh", "-c", command], check=True, capture_output=True)
    assert (first.read_text(), second.read_text()) == (f"10.0.0.2 {OTHER}\n", f"lb1 {OTHER}\n")
    assert not third.with_suffix(".old").exists()
    with pytest.raises(HostKeyError, match="is not in"):
        log_in_with(server, first, second, port=port)


@pytest.mark.parametrize("is_another_there", [False, True])
def test_an_identity_that_is_not_there_is_named(server: Server, tmp_path: Path, is_another_there: bool) -> None:
    stranger = tmp_path / "stranger"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", stranger], check=True)
    identities = (str(tmp_path / "id_lost"), *([str(stranger)] if is_another_there else []))
    file = known(tmp_path / "known_hosts", f"10.0.0.1 {server.public}")
    with pytest.raises(LoginRefused, match=r"app1: login as ops was refused; these keys do not exist: .*/id_lost\n"):
        log_in(Endpoint("app1", "10.0.0.1", 22, "ops", identities, (str(file),)), server.connect)


def test_lines_with_a_certificate_authority_block_nobody(server: Server, tmp_path: Path) -> None:
    lines = [f"@cert-authority *.example.org {OTHER}", "# a comment", f"10.0.0.1 {server.public}"]
    log_in_with(server, known(tmp_path / "known_hosts", *lines))


def test_an_authority_vouches_for_nobody(server: Server, tmp_path: Path) -> None:
    with pytest.raises(HostKeyError, match="is not in"):
        log_in_with(server, known(tmp_path / "known_hosts", f"@cert-authority 10.0.0.1 {server.public}"))


def test_a_host_is_known_by_its_hash_too(server: Server, tmp_path: Path) -> None:
    file = known(tmp_path / "known_hosts", f"10.0.0.1 {server.public}")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", file], check=True, capture_output=True)
    assert "10.0.0.1" not in file.read_text()
    log_in_with(server, file)


@pytest.mark.parametrize("others", [[], ["10.0.0.1 {public}"], ["10.0.0.1 {other}"]])
def test_a_revoked_key_is_refused(server: Server, tmp_path: Path, others: list[str]) -> None:
    lines = [line.format(public=server.public, other=OTHER) for line in others]
    first, second = known(tmp_path / "first", *lines), known(tmp_path / "second", f"@revoked * {server.public}")
    with pytest.raises(HostKeyError, match=r"app1: its host key .* is marked as revoked") as caught:
        log_in_with(server, first, second)
    assert "ssh-keygen" not in caught.value.advice
    assert "ssh-keyscan" not in caught.value.advice


def test_beside_a_revoked_key_the_hosts_new_one_is_known(server: Server, tmp_path: Path) -> None:
    lines = [f"@revoked 10.0.0.1 {OTHER}", f"10.0.0.1 {OTHER}", f"10.0.0.1 {server.public}"]
    log_in_with(server, known(tmp_path / "known_hosts", *lines))


def test_a_damaged_line_is_told(server: Server, tmp_path: Path) -> None:
    with pytest.raises(HostKeyError, match=r"a line of its known_hosts is damaged: '10\.0\.0\.1 ssh-ed25519 AAA'"):
        log_in_with(server, known(tmp_path / "known_hosts", "10.0.0.1 ssh-ed25519 AAA"))
