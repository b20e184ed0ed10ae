"""Secrets kept out of text that is written piece by piece."""

from __future__ import annotations

import base64
import html
import io
import json
from pathlib import Path
from urllib.parse import quote

import pytest
import yaml

from balbook.commands.files import put_file
from balbook.inventory import read_inventory
from balbook.inventory.secret_references import secret_references, with_secrets
from balbook.inventory.words import SECRET_REFERENCE
from balbook.secrets.references import Scrubber, without_secrets
from balbook.secrets.scrubbing import Pieces, ScrubbedStream
from balbook.secrets.secret_ref import SecretRef
from balbook.transport import reveal_text
from tests.small_fleet import written

SECRETS = ("S3cr3t-Canary/+42", 'a"b\\c&dé-long')
ENCODINGS = {
    "plain": lambda v: v,
    "base64": lambda v: base64.b64encode(v.encode()).decode(),
    "base64 after a byte": lambda v: base64.b64encode(b"x" + v.encode()).decode(),
    "hex": lambda v: v.encode().hex(),
    "hex with colons": lambda v: ":".join(f"{b:02X}" for b in v.encode()),
    "URL": lambda v: quote(v, safe=""),
    "JSON": json.dumps,
    "HTML": html.escape,
    "wrapped": "\n".join,
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_a_secret_in_pieces_is_found_like_a_whole_one(secret: str, encoding: str, size: int) -> None:
    scrubber = Scrubber()
    scrubber.remember("env:X", secret)
    encoded = ENCODINGS[encoding](secret)
    text = f"<< {encoded} >>\n"
    pieces = Pieces(scrubber)
    written = "".join(pieces.feed(text[i : i + size]) for i in range(0, len(text), size)) + pieces.end()
    assert "[secret env:X]" in written
    assert not [encoded[i : i + 4] for i in range(len(encoded) - 3) if encoded[i : i + 4] in written]
    assert (written[:3], written[-3:]) == ("<< ", ">>\n")


def test_text_that_is_no_beginning_of_a_secret_is_not_held_back() -> None:
    scrubber = Scrubber()
    assert Pieces(scrubber).feed("S3cr") == "S3cr"
    scrubber.remember("env:X", SECRETS[0])
    pieces = Pieces(scrubber)
    assert pieces.feed("a line\n") == "a line\n"
    assert "S3cr" not in pieces.feed("then S3cr")
    assert pieces.end().endswith("S3cr")


def test_a_stream_writes_what_it_held_back_at_its_flush() -> None:
    scrubber, target = Scrubber(), io.StringIO()
    scrubber.remember("env:X", SECRETS[0])
    stream = ScrubbedStream(target, scrubber)
    print("a", SECRETS[0][:5], end="", file=stream)
    print(SECRETS[0][5:], "b", file=stream)
    stream.flush()
    assert target.getvalue() == "a [secret env:X] b\n"


def inventory_with(folder: Path, config: str, token: str = "env:TOKEN") -> Path:
    (folder / "Config.toml").write_text(config)
    application = {"instances": [{"host": "app1", "port": 9090}], "config": {"file": "Config.toml"}}
    hosts = {"app1": {"address": "127.0.0.1", "roles": ["app"]}}
    data = {"version": 1, "hosts": hosts, "applications": {"hotel": application}, "central": {"token": token}}
    (folder / "inventory.yaml").write_text(yaml.safe_dump(data))
    return folder / "inventory.yaml"


def test_an_inventorys_secrets_are_those_it_names_and_those_of_its_templates(tmp_path: Path) -> None:
    inventory = read_inventory(inventory_with(tmp_path, 'password = "${secret:file:pw}"\n'))
    assert secret_references(inventory) == ("env:TOKEN", "file:pw")
    (tmp_path / "pw").write_text("long-enough-secret\n")
    (tmp_path / "pw").chmod(0o600)
    assert inventory.secrets.scrubber.references == ("file:pw",)


def test_no_field_that_takes_a_reference_is_forgotten(tmp_path: Path) -> None:
    path = inventory_with(tmp_path, "")
    data = yaml.safe_load(path.read_text())
    data["hosts"]["app1"] |= {"become": "sudo", "become_password": "env:SUDO"}
    data |= {"registry": {"url": "https://registry.example.org/raw", "credentials": "env:REGISTRY"}, "notify": {"token": "env:HOOK"}}
    path.write_text(yaml.safe_dump(data))
    inventory = read_inventory(path)
    named = ("SUDO", "TOKEN", "REGISTRY", "HOOK")
    assert sorted(secret_references(inventory)) == sorted(f"env:{name}" for name in named)
    schema = json.dumps(type(inventory).model_json_schema())
    assert schema.count(json.dumps(SECRET_REFERENCE)) == len(named), "a new field with a reference belongs into this test"
    assert without_secrets(dict.fromkeys(named, "canary"), inventory.secrets.references) == {}


def test_a_secret_in_a_template_is_quoted_for_the_string_it_stands_in() -> None:
    parts = with_secrets('password = "${secret:env:PW}"\nuser = "ops"\n')
    assert parts == ('password = "', SecretRef("env:PW", "toml"), '"\nuser = "ops"\n')
    command = written(put_file("/x", parts))
    assert command.stdin == parts
    assert reveal_text(command.stdin, lambda ref: 'a"b\\c') == b'password = "a\\"b\\\\c"\nuser = "ops"\n'
