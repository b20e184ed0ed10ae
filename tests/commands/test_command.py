"""Commands: quoting, plain data, and the words that are safe."""

from __future__ import annotations

import ast
import shlex
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import balbook
from balbook.commands.command import Command, Result, script
from balbook.errors import BadInput
from balbook.local.names import require_word
from balbook.secrets.secret_ref import SecretRef
from tests.small_fleet import written

WORD = st.text(st.characters(blacklist_characters="\0", blacklist_categories=("Cs",)), max_size=20)
VARIABLE = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,10}", fullmatch=True)
COMMAND = st.builds(
    Command,
    argv=st.lists(WORD, min_size=1, max_size=5).map(tuple),
    stdin=st.lists(st.one_of(WORD, st.builds(SecretRef, VARIABLE.map("env:{}".format))), max_size=3).map(tuple),
    environment=st.dictionaries(VARIABLE, WORD, max_size=3),
    deadline_s=st.one_of(st.integers(1, 900), st.floats(0.1, 900)),
    expect=st.lists(st.integers(0, 255), min_size=1, max_size=3).map(tuple),
    is_privileged=st.booleans(),
)
HOSTILE = "a'b\"c $(touch /tmp/x) `id` ; rm -rf / \n | & < > * ? ~ # \\ ! {1,2}"


@given(st.lists(WORD, min_size=1))
def test_any_argv_comes_back_from_its_line(argv: list[str]) -> None:
    assert shlex.split(Command(tuple(argv)).line()) == argv


@given(st.lists(WORD, min_size=1, max_size=6))
@settings(max_examples=25, deadline=None)
def test_a_real_shell_hands_on_any_argv_unchanged(words: list[str]) -> None:
    line = script("show", 'printf "%s\\0" "$@"', *words).line()
    shown = subprocess.run(["sh", "-c", line], capture_output=True, check=True).stdout
    assert shown.decode().split("\0")[:-1] == words


def test_a_hostile_value_is_one_argument_and_never_text_of_the_script() -> None:
    command = script("show", 'printf "%s" "$1"', HOSTILE)
    assert HOSTILE not in command.argv[2]
    assert subprocess.run(["sh", "-c", command.line()], capture_output=True, check=True, text=True).stdout == HOSTILE


def test_the_environment_and_privilege_are_quoted_words_too() -> None:
    command = Command(("run", "a b"), environment={"B": "2;id", "A": "1"}, is_privileged=True)
    assert shlex.split(command.line("sudo")) == ["sudo", "-n", "--", "env", "A=1", "B=2;id", "run", "a b"]
    assert shlex.split(command.line()) == ["env", "A=1", "B=2;id", "run", "a b"]


@given(COMMAND)
def test_a_command_comes_back_from_the_json_of_a_plan(command: Command) -> None:
    assert written(command) == command


def test_no_script_is_put_together_from_values() -> None:
    built = [
        f"{path.name}:{call.lineno}"
        for path in sorted((Path(balbook.__file__).parent / "commands").glob("*.py"))
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "script"
        if isinstance(call.args[1], ast.JoinedStr | ast.BinOp)
    ]
    assert built == []


@pytest.mark.parametrize("value", ["2.0.0", "hotel", "1.0.0+build.7", "a_b-c", "x" * 128])
def test_a_plain_word_is_allowed(value: str) -> None:
    assert require_word(value, "release") == value


@pytest.mark.parametrize("value", ["", "-rf", ".hidden", "..", "../x", "a/b", "a b", "a;b", "$(id)", "a\nb", "a\0b", "ä", "x" * 129])
def test_a_word_that_could_be_more_than_a_word_is_refused(value: str) -> None:
    with pytest.raises(BadInput, match="release"):
        require_word(value, "release")


def test_the_tail_of_a_result_ends_with_its_errors() -> None:
    assert Result(1, "one\ntwo\nthree\n", "bad\n").tail(2) == "two\nthree\nbad"


def test_a_privileged_command_goes_through_become_and_another_does_not() -> None:
    assert Command(("id",), is_privileged=True).line("sudo") == "sudo -n -- id"
    assert Command(("id",), is_privileged=True).line("") == "id"
    assert Command(("id",)).line("sudo", asks_password=True) == "id"


def test_sudos_password_is_the_first_line_of_the_input_and_never_a_word_of_a_command(tmp_path: Path) -> None:
    """A stand-in for sudo: with -v it checks the password that it reads, else it runs the command and has no input of its own."""
    sudo = tmp_path / "sudo"
    sudo.write_text(
        f'#!/bin/sh\necho "$*" >> {tmp_path}/said\ncase $* in *-v) read -r p; [ "$p" = "a b\'c" ] ;; *) shift 2; exec "$@" ;; esac\n'
    )
    sudo.chmod(0o755)
    line = Command(("sh", "-c", "cat; echo $1", "x", "$(id)"), is_privileged=True).line("sudo", asks_password=True)

    def run(given: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
        return subprocess.run(["sh", "-c", line], input=given, env=environment, capture_output=True, text=True, check=False)

    assert run("a b'c\nline one\nline two\n").stdout == "line one\nline two\n$(id)\n"
    assert "a b'c" not in (tmp_path / "said").read_text()
    refused = run("wrong\nline one\n")
    assert (refused.returncode, refused.stdout) == (1, "")
