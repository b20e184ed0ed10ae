"""Parameters: read without being executed, and checked before a kernel starts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from balbook.errors import ParameterError
from balbook.notebook.parameters import Parameter, check_parameters, declared_parameters, parse_assignments, read_parameters_file

SOURCE = """\
application: str = ""  # which application
release: str = "latest"  # a release # or "latest"

serial: int = 1
rate: float = 2  # requests per second
fast: bool = False
hosts: list[str] = []  # empty: all
"""
DECLARED = declared_parameters(SOURCE)


def test_the_declarations_are_read_in_order_with_type_default_and_help() -> None:
    assert list(DECLARED) == [
        Parameter("application", "str", "", "which application"),
        Parameter("release", "str", "latest", 'a release # or "latest"'),
        Parameter("serial", "int", 1, ""),
        Parameter("rate", "float", 2.0, "requests per second"),
        Parameter("fast", "bool", False, ""),
        Parameter("hosts", "list[str]", [], "empty: all"),
    ]


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("a = 1", "line 1 of the parameters cell is not a declaration"),
        ("a: int = 1\nimport os", "line 2 of the parameters cell is not a declaration"),
        ("a: int", "is not a declaration"),
        ("a.b: int = 1", "is not a declaration"),
        ("a: list[str] = [\n]", "is not a declaration"),
        ("a: int = 1; b: int = 2", "several statements"),
        ("a: dict = {}", "'a' has the type dict"),
        ("a: int = open('x')", "the default of 'a' is not a literal"),
        ("a: str = f'{1}'", "the default of 'a' is not a literal"),
        ("a: int = 'x'", "'a' must be a whole number"),
        ("a: int = True", "'a' must be a whole number"),
        ("a: bool = 0", "'a' must be true or false"),
        ("a: str = 'x\\n'", "control character"),
        ("a: int = 1\na: int = 2", "line 2 of the parameters cell declares 'a' again"),
        ("# about\na: int = 1", "line 1 of the parameters cell is a comment alone"),
        ("a: int = ", "is not Python"),
        ("_a: int = 1", "cannot name a parameter"),
        ("match: str = ''", "cannot name a parameter"),
    ],
)
def test_anything_but_declarations_is_refused(source: str, told: str) -> None:
    with pytest.raises(ParameterError) as caught:
        declared_parameters(source)
    assert told in caught.value.message
    assert caught.value.advice


@pytest.mark.parametrize(
    "name", ["password", "db_password", "token", "api_token", "client_secret", "key", "api_key", "signing_key", "passphrase"]
)
def test_a_parameter_that_looks_like_a_secret_is_refused_with_the_way_out(name: str) -> None:
    with pytest.raises(ParameterError, match="looks like a secret") as caught:
        declared_parameters(f'{name}: str = ""')
    assert "env:NAME" in caught.value.advice


@pytest.mark.parametrize("name", ["monkey", "keep", "author", "ticket", "keyboard"])
def test_a_name_that_only_resembles_a_secret_is_allowed(name: str) -> None:
    assert declared_parameters(f'{name}: str = ""')[0].name == name


def test_what_is_not_given_has_its_default_and_a_whole_number_is_a_float() -> None:
    assert check_parameters(DECLARED, {"application": "hotel", "rate": 5}) == {
        "application": "hotel",
        "release": "latest",
        "serial": 1,
        "rate": 5.0,
        "fast": False,
        "hosts": [],
    }


def test_an_unknown_parameter_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ParameterError, match="no parameter 'aplication'") as caught:
        check_parameters(DECLARED, {"aplication": "hotel"})
    assert caught.value.advice == "Did you mean 'application'?"
    assert caught.value.exit_status == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("release", 1.1),
        ("release", 12345),
        ("release", None),
        ("release", ["a"]),
        ("serial", True),
        ("serial", "1"),
        ("serial", 1.0),
        ("rate", True),
        ("rate", "1.5"),
        ("rate", float("nan")),
        ("rate", float("inf")),
        ("rate", 10**400),
        ("fast", 1),
        ("fast", "true"),
        ("hosts", "app1"),
        ("hosts", ["app1", 2]),
    ],
)
def test_a_value_of_another_type_is_refused(name: str, value: object) -> None:
    with pytest.raises(ParameterError, match=f"the parameter '{name}' must be"):
        check_parameters(DECLARED, {name: value})


@pytest.mark.parametrize("value", ["a\nb", "a\tb", "a\x00", "\x1b[31m", "a\u2028b", "a\x85b"])
@pytest.mark.parametrize("name", ["release", "hosts"])
def test_control_characters_are_refused_in_every_text(name: str, value: str) -> None:
    with pytest.raises(ParameterError, match="control character"):
        check_parameters(DECLARED, {name: value if name == "release" else ["ok", value]})


@pytest.mark.parametrize(
    ("assignment", "value"),
    [
        ("release=1.10", "1.10"),
        ("release=12345e7", "12345e7"),
        ("release=true", "true"),
        ("release=", ""),
        ("release=a=b", "a=b"),
        ("release=$(id); 'x'", "$(id); 'x'"),
        ("serial=3", 3),
        ("serial=-3", -3),
        ("rate=1e2", 100.0),
        ("rate=5", 5.0),
        ("fast=true", True),
        ("fast=False", False),
        ("hosts=app1, app2", ["app1", "app2"]),
        ("hosts=", []),
    ],
)
def test_an_assignment_is_read_by_the_declared_type(assignment: str, value: object) -> None:
    values = parse_assignments(DECLARED, [assignment])
    assert list(values.values()) == [value]
    assert [type(v) for v in values.values()] == [type(value)]


@pytest.mark.parametrize(
    ("assignments", "told"),
    [
        (["serial=1.0"], "must be a whole number"),
        (["serial="], "must be a whole number"),
        (["serial=1_0"], "must be a whole number"),
        (["rate=nan"], "must be a number"),
        (["rate=inf"], "must be a number"),
        (["rate=1e999"], "must be a number"),
        (["fast=yes"], "must be true or false"),
        (["hosts=a,,b"], "empty item"),
        (["release"], "has no value"),
        (["release=a", "release=b"], "twice"),
        (["relase=a"], "no parameter 'relase'"),
        (["release=a\nb"], "control character"),
    ],
)
def test_an_assignment_that_does_not_fit_is_refused(assignments: list[str], told: str) -> None:
    with pytest.raises(ParameterError) as caught:
        parse_assignments(DECLARED, assignments)
    assert told in caught.value.message


@given(st.text(alphabet=st.characters(exclude_categories=("Cc", "Zl", "Zp", "Cs"))))
def test_a_text_stays_the_text_that_was_given(text: str) -> None:
    assert parse_assignments(DECLARED, [f"release={text}"]) == {"release": text}


def test_a_parameters_file_is_read_by_name(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text('application: hotel\nrelease: "1.10"\nhosts: [app1, app2]\nrate: 3\n', encoding="utf-8")
    expected = {"application": "hotel", "release": "1.10", "hosts": ["app1", "app2"], "rate": 3}
    assert read_parameters_file(path) == expected
    assert read_parameters_file(path, DECLARED) == expected


@pytest.mark.parametrize("is_escaped", [True, False])
def test_json_is_read_as_json_in_which_an_emoji_is_two_escapes(tmp_path: Path, is_escaped: bool) -> None:
    path = tmp_path / "params.json"
    given = {"application": "🎉 new prices", "hosts": ["app1"], "rate": 3, "fast": True}
    path.write_text(json.dumps(given, ensure_ascii=is_escaped), encoding="utf-8")
    assert read_parameters_file(path, DECLARED) == given


def test_a_mapping_of_yaml_that_begins_with_a_brace_is_read_as_yaml(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("{application: hotel, hosts: [app1]}\n", encoding="utf-8")
    assert read_parameters_file(path, DECLARED) == {"application": "hotel", "hosts": ["app1"]}


def test_an_empty_parameters_file_gives_nothing(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.touch()
    assert read_parameters_file(path, DECLARED) == {}


def test_a_release_that_yaml_reads_as_a_number_is_refused_with_the_advice_to_quote_it(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("application: hotel\nrelease: 1.10\n", encoding="utf-8")
    with pytest.raises(ParameterError, match=r"params\.yaml:2: the parameter 'release' must be text .* found 1\.10") as caught:
        read_parameters_file(path, DECLARED)
    assert '"1.10"' in caught.value.advice
    with pytest.raises(ParameterError, match="must be text") as caught:
        check_parameters(DECLARED, read_parameters_file(path))
    assert "quotes" in caught.value.advice


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("relase: x\n", "params.yaml:1: this runbook has no parameter 'relase'"),
        ("release: a\nrelease: b\n", "params.yaml:2: release: is written twice"),
        ('{"release": "a", "release": "b"}', "release: is written twice"),
        ('{"release": "\\ud83c"}', "the control character"),
        ('{"release": 1.5}', "params.yaml:1: the parameter 'release' must be text"),
        ("- release\n", "found no mapping"),
        ("release: [\n", "this is not YAML"),
    ],
)
def test_a_parameters_file_that_cannot_be_used_is_refused_by_line(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ParameterError) as caught:
        read_parameters_file(path, DECLARED)
    assert told in caught.value.message


def test_a_missing_parameters_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"nothing\.yaml does not exist"):
        read_parameters_file(tmp_path / "nothing.yaml")
