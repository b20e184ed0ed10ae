"""Canaries: secrets through every kind of reference, in every runbook that takes one, and a search for them everywhere."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import pytest
import yaml

from balbook.lab.loopback import Lab
from balbook.notebook.runbook import find_runbooks
from tests.integration.hotel import command_environment

pytestmark = pytest.mark.integration
KINDS = ("env", "file", "cmd")
RELATED = (b"balbook", b"ipykernel_launcher", b"papermill", b"pytest")
"""Processes that read the secrets of `env:` references, and therefore have them; nobody else may."""
SHOW = """import base64, json, os, subprocess, sys, urllib.parse
from pathlib import Path
known = [os.environ["CANARY_SUDO"]]
known += [os.environ["CANARY_ENV"], Path("{file}").read_text().strip(), subprocess.check_output(["cat", "{cmd}"], text=True).strip()]
for secret in known:
    print("plain", secret, json.dumps(secret), repr(secret), urllib.parse.quote(secret, safe=""))
    print(base64.b64encode(secret.encode()).decode(), secret.encode().hex(), base64.encodebytes(b"x" * 50 + secret.encode()).decode())
    print("\\n".join(secret[i : i + 7] for i in range(0, len(secret), 7)), file=sys.stderr)
    for letter in secret:
        print(letter, end="", flush=True)
    subprocess.run(["cat"], input=secret, text=True)
    display({{"text/html": f"<b>{{secret}}</b>", "text/plain": secret}}, raw=True)
secret"""
RAISE = """import os
from pathlib import Path
try:
    raise ValueError(os.environ["CANARY_ENV"])
except ValueError as exc:
    raise RuntimeError(Path("{file}").read_text() + Path("{cmd}").read_text()) from exc"""


@dataclass(frozen=True)
class Canaries:
    """The secrets, the inventory that refers to them, and where they may be on disk: nowhere else.

    `count` gets a line for each time that a `cmd:` reference is read.
    """

    lab: Lab
    inventory: Path
    values: tuple[str, ...]
    environ: dict[str, str]
    homes: tuple[Path, ...]
    outside: Path
    count: Path
    seen: list[str] = field(default_factory=list)

    def balbook(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Runs one command, watching all processes meanwhile."""
        self.count.unlink(missing_ok=True)
        argv = [sys.executable, "-m", "balbook", *words, "-i", str(self.inventory)]
        with self.watched():
            done = subprocess.run(argv, env=self.environ, capture_output=True, text=True, timeout=240, check=False)
        assert not leaks((done.stdout + done.stderr).encode(), self.values), "in what the command printed"
        assert self.count.read_text() == "x\n", "command, kernel and the run's process read it once together"
        return done

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        is_over = threading.Event()

        def watch() -> None:
            while not is_over.wait(0.02):
                self.seen.extend(found for found in process_leaks(self.values) if found not in self.seen)

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()

    def on_disk(self) -> list[str]:
        """Every file below the lab, its records and where helpers wrote, that has a secret and is not its place."""
        files = [p for root in (self.lab.folder, self.outside) for p in root.rglob("*") if p.is_file() and not p.is_symlink()]
        found = []
        for path in files:
            if path in self.homes or is_a_releases_config(path):
                continue
            found += [f"{path}: {how}" for how in leaks(path.read_bytes(), self.values)]
        return found


def leaks(data: bytes, values: tuple[str, ...]) -> list[str]:
    """How the secrets stand in these bytes; empty: they do not."""
    joined = data
    for gap in (b"\n", b"\r", b"\\n", b"\\r", b'",', b' "', b"  "):
        joined = joined.replace(gap, b"")
    found = []
    for value in values:
        raw = value.encode()
        forms = {
            "plain": [raw],
            "JSON": [json.dumps(value)[1:-1].encode(), json.dumps(json.dumps(value)[1:-1])[1:-1].encode()],
            "URL": [quote(value, safe="").encode(), quote(value).encode()],
            "hex": [raw.hex().encode(), raw.hex().upper().encode()],
            "base64": [base64.b64encode(b"x" * n + raw)[(4 if n else 0) : -4] for n in range(3)],
        }
        found += [how for how, texts in forms.items() if any(text in data or text in joined for text in texts)]
    return found


def process_leaks(values: tuple[str, ...]) -> list[str]:
    """Secrets in any process's arguments, or in the environment of one that has nothing to do with them."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            arguments = (folder / "cmdline").read_bytes()
            found += [f"arguments of {arguments!r}: {how}" for how in leaks(arguments, values)]
            environment = (folder / "environ").read_bytes()
            # Between fork and exec a process has neither its own arguments nor its own environment.
            is_settled = arguments and arguments == (folder / "cmdline").read_bytes()
            if is_settled and not any(word in arguments for word in RELATED):
                found += [f"environment of {arguments!r}: {how}" for how in leaks(environment, values)]
    return found


def is_a_releases_config(path: Path) -> bool:
    """The one file of a host that a secret is meant for; nobody but its owner reads it."""
    is_config = path.name == "Config.toml" and "releases" in path.parts and path.parent.name.isdigit()
    return is_config and path.stat().st_mode & 0o077 == 0


@pytest.fixture(scope="module")
def canaries(session_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Canaries:
    """An inventory whose application takes a secret by each kind of reference, and programs that tell what they inherited."""
    private, outside = tmp_path_factory.mktemp("private"), tmp_path_factory.mktemp("outside")
    values = {kind: f'Kanarie"{kind}/{secrets.token_hex(6)}+%&\\e' for kind in KINDS}
    for kind in ("file", "cmd"):
        (private / kind).touch(mode=0o600)
        (private / kind).write_text(values[kind] + "\n")
    token = (session_lab.folder / "central.token").read_text().strip()
    environ = {**command_environment(session_lab.folder.parent), "CANARY_ENV": values["env"], "CANARY_TOKEN": token}
    environ["CANARY_SUDO"] = f"Kanarie/sudo/{secrets.token_hex(6)}"
    environ.pop("PYTEST_CURRENT_TEST", None)  # ipykernel would not take what programs print for a cell's output
    environ["PATH"] = f"{_telling_git(outside)}{os.pathsep}{environ['PATH']}"
    count = outside / "count"
    references = {
        "env": "env:CANARY_ENV",
        "file": f"file:{private / 'file'}",
        "cmd": f"cmd:sh -c 'echo x >> {count}; cat {private / 'cmd'}'",
    }
    (private / "Config.toml").write_text("".join(f'{k} = "${{secret:{r}}}"\n' for k, r in references.items()))
    data = yaml.safe_load(session_lab.inventory.read_text())
    tell = ["sh", "-c", f"cat >> {outside}/heard; env >> {outside}/env-of-children"]
    data["records"]["anchor"] = {"kind": "command", "command": tell}
    data["notify"] = {"command": tell}
    echo = "sh -c 'cat \"$HOME\"/balbook/hotel/instances/*/current/*/Config.toml | tee /dev/stderr | base64'"
    hotel = data["applications"]["hotel"]
    hotel |= {"config": {"file": str(private / "Config.toml")}, "hooks": {"after_ready": [echo]}, "graceful_stop_s": 1}
    hotel["probe"]["rate"] = 20
    data["central"]["token"] = "env:CANARY_TOKEN"
    data["hosts"]["app1"]["become_password"] = "env:CANARY_SUDO"  # it must not be inherited or shown, whoever asks for it
    inventory = session_lab.folder / "leaks.yaml"
    inventory.write_text(yaml.safe_dump(data))
    homes = (session_lab.folder / "central.token", session_lab.folder / "central" / ".tokens.json")
    return Canaries(session_lab, inventory, (*values.values(), environ["CANARY_SUDO"], token), environ, homes, outside, count)


def _telling_git(folder: Path) -> Path:
    """A `git` that writes down what it inherited."""
    programs = folder / "bin"
    programs.mkdir()
    real = shutil.which("git")
    (programs / "git").write_text(f'#!/bin/sh\nenv >> {folder}/env-of-children\nexec {real} "$@"\n')
    (programs / "git").chmod(0o755)
    return programs


def notebook(canaries: Canaries, name: str, source: str) -> Path:
    """The runbook `hot_deploy` with one more cell."""
    data = json.loads(find_runbooks()["hot_deploy"].read_text())
    private = Path(yaml.safe_load(canaries.inventory.read_text())["applications"]["hotel"]["config"]["file"]).parent
    cell = {"cell_type": "code", "id": "odd", "metadata": {"tags": ["preflight"]}, "execution_count": None, "outputs": []}
    cell["source"] = source.format(file=private / "file", cmd=private / "cmd")
    data["cells"].insert(3, cell)
    path = canaries.outside / f"{name}.ipynb"
    path.write_text(json.dumps(data))
    return path


def test_the_search_finds_a_canary_that_was_planted(canaries: Canaries) -> None:
    value = canaries.values[0]
    planted = canaries.lab.folder / "records" / "planted"
    encoded = [
        value,
        json.dumps(value),
        quote(value, safe=""),
        base64.encodebytes(b"x" * 55 + value.encode()).decode(),
        value.encode().hex(),
    ]
    for text in encoded:
        planted.write_text(f"before {text} after")
        try:
            assert any(str(planted) in found for found in canaries.on_disk()), text
        finally:
            planted.unlink()
    argv = ["sh", "-c", 'sleep 20; : "$1"', "planted", value]
    with subprocess.Popen(argv) as process:
        try:
            assert any("planted" in found for found in process_leaks(canaries.values))
        finally:
            process.kill()


def test_no_secret_is_seen_anywhere(canaries: Canaries) -> None:
    """One long story, so that the search covers all of it: install, push with a token, deploy, fail."""
    assert canaries.balbook("apply", "provision").returncode == 0
    assert canaries.balbook("apply", "install").returncode == 0
    kinds = {"env": "env:CANARY_TOKEN", "file": "file:central.token", "cmd": f"cmd:cat {canaries.lab.folder}/central.token"}
    sources = yaml.safe_load(canaries.inventory.read_text())["defaults"]["pack_push"]["packages"]
    for (kind, reference), package in zip(kinds.items(), sources, strict=True):
        data = yaml.safe_load(canaries.inventory.read_text())
        data["central"]["token"] = reference
        canaries.inventory.write_text(yaml.safe_dump(data))
        done = canaries.balbook("apply", "pack_push", "-p", f"packages={package}")
        assert done.returncode == 0, (kind, done.stdout, done.stderr)
        canaries.environ.pop("CANARY_TOKEN", None)  # from here on no reference of the inventory names it
    shown = canaries.balbook("apply", str(notebook(canaries, "show", SHOW)), "-p", "release=1.0.0", "--json")
    assert shown.returncode == 0, (shown.stdout, shown.stderr)
    raised = canaries.balbook("apply", str(notebook(canaries, "raise", RAISE)), "-p", "release=2.0.0")
    assert raised.returncode == 1
    record = Path(json.loads(shown.stdout)["record"])
    executed = (record / "show.ipynb").read_text()
    assert all(f"[secret {kind}:" in executed for kind in KINDS), "the notebook shows that something was hidden"
    assert "[secret env:CANARY_ENV]" in (record / "journal.jsonl").read_text(), "what the host echoed was journaled, less the secret"
    configs = [p for p in canaries.lab.folder.rglob("Config.toml") if is_a_releases_config(p)]
    arrived = [json.dumps(v, ensure_ascii=False) in p.read_text() for p in configs for v in canaries.values[:3]]
    assert arrived
    assert all(arrived), "the instances have their secrets"
    assert (canaries.outside / "env-of-children").exists()
    assert (canaries.outside / "heard").exists()
    assert canaries.on_disk() == []
    assert canaries.seen == []
