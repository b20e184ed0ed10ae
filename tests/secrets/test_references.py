"""Secrets are read by reference, refused where weak, and found again in every common encoding."""

from __future__ import annotations

import base64
import html
import json
import shlex
import stat
import sys
import textwrap
import urllib.parse
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from balbook.errors import BadInput
from balbook.secrets import references as secrets
from balbook.secrets.references import Scrubber, looks_like_secret, parse, resolve, without_secrets

CANARY = "c4nary-Zq7&\"pa'ss/wörd\\x"
MARKER = "[secret env:CANARY]"


def scrubber(value: str = CANARY) -> Scrubber:
    scrubber = Scrubber()
    scrubber.remember("env:CANARY", value)
    return scrubber


def private(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    path.chmod(0o600)
    return path


def test_an_environment_variable_is_read() -> None:
    assert resolve("env:TOKEN", {"TOKEN": "12345678abc"}) == "12345678abc"


def test_a_file_loses_one_line_end(tmp_path: Path) -> None:
    path = private(tmp_path / "token", b"longer-than-8\n")
    assert resolve(f"file:{path}", {}) == "longer-than-8"
    assert resolve("file:token", {}, base=tmp_path) == "longer-than-8"


def test_a_command_is_run_without_a_shell() -> None:
    words = shlex.join([sys.executable, "-c", "import sys; print(sys.argv[1])", "$HOME;`id` * value"])
    assert resolve(f"cmd:{words}", {}) == "$HOME;`id` * value"


@pytest.mark.parametrize("mode", [0o604, 0o644, 0o602])
def test_a_file_open_to_every_user_is_refused_with_the_command_that_closes_it(tmp_path: Path, mode: int) -> None:
    path = private(tmp_path / "token", b"longer-than-8\n")
    path.chmod(mode)
    with pytest.raises(BadInput, match=r"(?s)open to every user.*chmod o-rwx"):
        resolve(f"file:{path}", {})


@pytest.mark.parametrize("value", ["", "shrt", "1234567", "with\nline break", "with\ttab here", "aaaaaaaaaaaa", "two\r\nlines of it"])
def test_weak_or_broken_values_are_refused_and_not_shown(value: str) -> None:
    with pytest.raises(BadInput) as caught:
        resolve("env:TOKEN", {"TOKEN": value})
    assert not value or value not in str(caught.value)
    assert "env:TOKEN" in str(caught.value)


@pytest.mark.parametrize(
    ("reference", "told"),
    [
        ("env:MISSING", "Set the environment variable MISSING"),
        ("file:/nowhere/token", "cannot be read"),
        ("file:/dev/zero", "not a regular file"),
        ("cmd:false", "ended with status 1"),
        ("cmd:no-such-program-here", "cannot be read"),
        ("cmd:echo 'open", "not a command line"),
        ("evn:TOKEN", "Did you mean 'env:'"),
        ("env:not a name", "does not name a variable"),
        ("keyring:service", "a service and a user"),
        ("file:", "empty"),
    ],
)
def test_a_reference_that_cannot_be_read_is_refused(reference: str, told: str) -> None:
    with pytest.raises(BadInput) as caught:
        resolve(reference, {"PATH": "/usr/bin:/bin"})
    assert told in str(caught.value)


@pytest.mark.parametrize("written", ["ghp_0123456789abcdef", "hunter2:the-secret-itself", "https://user:pass@host"])
def test_a_secret_written_where_its_reference_belongs_is_not_shown(written: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse(written)
    assert all(part not in str(caught.value) for part in (written, "hunter2", "pass@host"))


def test_a_command_that_does_not_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "DEADLINE_S", 0.2)
    with pytest.raises(BadInput, match="did not end within"):
        resolve("cmd:sleep 60", {"PATH": "/usr/bin:/bin"})


def test_bytes_that_are_no_text_do_not_reach_the_message(tmp_path: Path) -> None:
    path = private(tmp_path / "token", b"\xff\xfe-secret-bytes")
    with pytest.raises(BadInput) as caught:
        resolve(f"file:{path}", {})
    assert caught.value.__cause__ is None
    assert "secret-bytes" not in str(caught.value)


def test_the_keyring_is_asked_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Keyring:
        @staticmethod
        def get_password(service: str, user: str) -> str | None:
            return {("central/eu", "ops"): "from-the-keyring"}.get((service, user))

    monkeypatch.setitem(sys.modules, "keyring", Keyring)
    assert resolve("keyring:central/eu/ops", {}) == "from-the-keyring"
    with pytest.raises(BadInput, match=r"(?s)not in the keyring.*keyring set central ops"):
        resolve("keyring:central/ops", {})


def test_a_missing_keyring_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(BadInput, match="pip install keyring"):
        resolve("keyring:central/ops", {})


@pytest.mark.parametrize("name", ["password", "db_password", "apiKey", "API_KEY", "accessToken", "GITHUB_TOKEN", "private-key", "dbPwd"])
def test_names_of_secrets_are_known(name: str) -> None:
    assert looks_like_secret(name)


@pytest.mark.parametrize("name", ["author", "key", "passes", "release", "monkey", "keyboard", "compass", "tokenize", "hosts", "serial"])
def test_other_names_are_not_taken_for_secrets(name: str) -> None:
    assert not looks_like_secret(name)


def test_an_unrelated_process_does_not_inherit_a_secret() -> None:
    assert without_secrets({"A": "1", "TOKEN": "x"}, ["env:TOKEN", "file:A"]) == {"A": "1"}


ENCODINGS: dict[str, Callable[[str], str]] = {
    "as it stands": lambda v: v,
    "JSON": json.dumps,
    "JSON with letters as they are": lambda v: json.dumps(v, ensure_ascii=False),
    "JSON in JSON": lambda v: json.dumps(json.dumps({"a": v})),
    "URL": urllib.parse.quote,
    "URL, every character": lambda v: urllib.parse.quote(v, safe=""),
    "URL form": urllib.parse.quote_plus,
    "URL twice": lambda v: urllib.parse.quote(urllib.parse.quote(v, safe=""), safe=""),
    "HTML": html.escape,
    "shell": shlex.quote,
    "repr": repr,
    "repr of bytes": lambda v: repr(v.encode()),
    "hex": lambda v: v.encode().hex(),
    "HEX": lambda v: v.encode().hex().upper(),
    "hex with colons": lambda v: v.encode().hex(":"),
    "base64": lambda v: base64.b64encode(v.encode()).decode(),
    "base64 in URLs": lambda v: base64.urlsafe_b64encode(v.encode()).decode().rstrip("="),
    "base64, quoted": lambda v: urllib.parse.quote(base64.b64encode(v.encode()).decode(), safe=""),
    "base64 behind a user's name": lambda v: base64.b64encode(b"ops:" + v.encode()).decode(),
    "base64 in the middle": lambda v: base64.b64encode(b"{'p': '" + v.encode() + b"'}").decode(),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("value", [CANARY, "plain-Token-0123456789", "s p a c e ~ %41 + %2B"])
def test_a_secret_is_found_in_every_encoding(encoding: str, value: str) -> None:
    text = f"before {ENCODINGS[encoding](value)} after"
    clean = scrubber(value).text(text)
    assert MARKER in clean
    assert clean.startswith("before ")
    assert clean.endswith(" after")


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("width", [5, 7, 11])
def test_a_secret_split_by_line_wraps_is_found(encoding: str, width: int) -> None:
    value = "plain-Token-0123456789"
    encoded = ENCODINGS[encoding](value)
    for end in ("\n", "\r\n", "\\n", "\n    ", "\\\n", '\\n",\n   "'):
        assert MARKER in scrubber(value).text(end.join(textwrap.wrap(encoded, width)))


@given(
    st.text(st.characters(min_codepoint=32, exclude_characters="\x7f", exclude_categories=["Cs", "Cc"]), min_size=8, max_size=40),
    st.binary(max_size=7),
)
def test_any_secret_is_found_in_json_base64_and_urls(value: str, before: bytes) -> None:
    scrub = scrubber(value).text
    for text in (
        json.dumps(value),
        base64.b64encode(before + value.encode() + b"\n").decode(),
        urllib.parse.quote(value),
        value.encode().hex(),
    ):
        assert "[secret" in scrub(text)


def test_other_text_stays_as_it_is() -> None:
    text = "c4nary-Zq7 alone, %63%34, " + base64.b64encode(b"something else").decode()
    assert scrubber().text(text) == text


def test_bytes_and_nested_data_are_cleaned() -> None:
    scrub = scrubber("top-secret-value")
    assert scrub.bytes(b"\xff top-secret-value \xfe") == b"\xff [secret env:CANARY] \xfe"
    dirty = {"top-secret-value": [1, None, ("a", "x top-secret-value"), {"deep": b"top-secret-value"}], "n": 2.5}
    clean = {MARKER: [1, None, ("a", f"x {MARKER}"), {"deep": MARKER.encode()}], "n": 2.5}
    assert scrub.data(dirty) == clean


def test_a_secret_of_digits_is_found_in_a_number() -> None:
    assert scrubber("1234567890").data({"pin": 1234567890, "other": 987654321}) == {"pin": MARKER, "other": 987654321}


def test_the_longer_of_two_secrets_is_replaced_whole() -> None:
    scrub = Scrubber()
    scrub.remember("env:SHORT", "password-1")
    scrub.remember("env:LONG", "password-1-and-more")
    assert scrub.text("password-1-and-more password-1") == "[secret env:LONG] [secret env:SHORT]"


def test_a_marker_does_not_hold_the_secret() -> None:
    scrub = Scrubber()
    scrub.remember("cmd:echo top-secret-value", "top-secret-value")
    assert scrub.text("x top-secret-value") == "x [secret]"


def test_what_one_learns_from_another_it_goes_on_to_learn() -> None:
    one, other = Scrubber(), Scrubber()
    other.remember("env:TOKEN", "abcdefgh12")
    one.learn(other)
    other.remember("env:LATER", "said-afterwards")
    assert one.text("log abcdefgh12 said-afterwards") == "log [secret env:TOKEN] [secret env:LATER]"


def test_the_command_of_a_reference_has_no_terminal_and_a_session_of_its_own(tmp_path: Path) -> None:
    program = tmp_path / "show"
    program.write_text(
        f"#!{sys.executable}\nimport os, sys\nprint('sid-is-own' if os.getsid(0) == os.getpid() else 'shared', sys.stdin.read())\n"
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    assert resolve(f"cmd:{program}", {}) == "sid-is-own "
