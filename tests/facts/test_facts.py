"""Every fact against files of `fact`, its `arguments`, the `command` that it is, what a host printed, and the value read."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from balbook.errors import BalbookError
from balbook.facts import Fact
from balbook.facts.balancer import parse_runtime, parse_servers
from balbook.facts.releases import Installed, InstalledRelease
from balbook.testing import arguments_of, name_of

FILES = sorted((Path(__file__).parents[1] / "data" / "facts").glob("*.json"))


def read(path: Path) -> tuple[dict[str, Any], Fact[Any]]:
    data = json.loads(path.read_text(encoding="utf-8"))
    module, _, name = data["fact"].rpartition(".")
    return data, getattr(import_module(f"balbook.{module}"), name)(*data["arguments"])


def plain(value: Any) -> Any:
    """A fact's value as JSON would have it: sets sorted, keys as text."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    return sorted(value) if isinstance(value, frozenset) else value


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_fact_asks_with_its_command_and_reads_the_answer(path: Path) -> None:
    data, fact = read(path)
    assert [name_of(fact.command), *arguments_of(fact.command)] == data["command"]
    assert plain(fact.parse(data["output"])) == data["value"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_answer_that_is_cut_off_raises_no_error_of_pythons(path: Path) -> None:
    data, fact = read(path)
    for end in range(0, len(data["output"]), 7):
        try:
            fact.parse(data["output"][:end])
        except BalbookError:
            pass
        except ValueError:
            pytest.fail(f"cut at {end}: {data['output'][:end][-60:]!r}")


def test_there_are_files() -> None:
    assert len(FILES) > 5


@pytest.mark.parametrize(
    ("text", "servers"),
    [
        ("", {}),
        ("  server 10.0.0.1:9090 max_fails=3 down;\n", {"10.0.0.1:9090": False}),
        ("server [fd00::1]:9090 backup;", {"[fd00::1]:9090": True}),
        ("# server 10.0.0.1:9090;\nserver 10.0.0.2:80; # down\n", {"10.0.0.2:80": True}),
        ("  server app1:9090 10.0.0.1:9090 check disabled\n  server app2:9090 10.0.0.2:9090 check", None),
        ("server_name hotel;\nserver {\n", {}),
    ],
)
def test_the_servers_of_a_configuration_are_read_with_their_state(text: str, servers: dict[str, bool] | None) -> None:
    if servers is not None:
        assert parse_servers(text) == servers
    else:
        assert list(parse_servers(text).values()) == [False, True]


def test_haproxys_runtime_tells_drained_servers_from_those_in_use() -> None:
    text = "# runtime a:1 0\n# runtime b:1 8\n# runtime c:1 1\n# runtime d:1 4\n# runtime e:1 x\nserver f\n"
    assert parse_runtime(text) == {"a:1": True, "b:1": False, "c:1": False, "d:1": True}


def test_the_release_before_is_the_other_one_that_was_proven_last() -> None:
    proven = {name: InstalledRelease(name, at, {}) for name, at in (("a", 3), ("b", 2), ("c", 1), ("d", None))}
    assert Installed(proven).previous_proven("a") == "b"
    assert Installed(proven).previous_proven("d") == "a"
    assert Installed({"d": proven["d"]}).previous_proven("d") is None
