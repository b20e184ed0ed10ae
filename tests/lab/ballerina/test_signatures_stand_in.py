"""The stand-in reads signatures in any valid source, and calls only brackets and strings that do not close wrong."""

import json
import re
from pathlib import Path

import pytest

from balbook.lab.ballerina.package import Sources, open_package
from balbook.lab.ballerina.reader import read_module
from balbook.lab.ballerina.routes import Program, program, table
from balbook.lab.ballerina.source import CompileError

DATA = Path(__file__).parents[2] / "data" / "bal_sources"
SAMPLE = Path(__file__).parents[3] / "templates" / "sample"


def read(source: str, *others: Sources) -> Program:
    return program(Sources("acme", "odd", "0.1.0", {"odd": {"odd.bal": source}}), others)


def said(text: str, what: str) -> list[str]:
    """The list that the source's first lines say of it."""
    return [word for word in re.search(rf"// {what}: ?(.*)", text).group(1).split(", ") if word]  # type: ignore[union-attr]


@pytest.mark.parametrize("path", sorted(DATA.glob("*.bal")), ids=lambda path: path.stem)
def test_an_odd_source_is_read_as_it_says_itself(path: Path) -> None:
    text = path.read_text()
    routes, has_ports = read(text).routes, path.stem == "ports"
    assert [f"{r.method} {r.path}" + f":{r.place}" * has_ports for r in routes] == said(text, "routes")
    assert [test.name for test in read_module({"a": text}).tests] == said(text, "tests")


def test_only_a_test_that_always_reaches_an_assertfail_fails() -> None:
    tests = read_module({"a": (DATA / "test_functions.bal").read_text()}).tests
    assert [test.name for test in tests if test.failure] == ["testFails"]


@pytest.mark.parametrize(
    ("source", "wrong"),
    [
        ('string a = "open;\n', "(1:18,1:18)] missing double quote"),
        ('string a = "open', "(1:17,1:17)] missing double quote"),
        ("function f() {\n", "(2:1,2:1)] missing close brace token"),
        ("int[] a = [1, (2];", "(1:17,1:17)] missing close parenthesis token"),
        ("}", "(1:1,1:2)] invalid token '}'"),
        ("string a = string `b ${c`;", "(1:27,1:27)] missing backtick token"),
    ],
)
def test_what_does_not_close_is_a_compile_error_with_its_place(source: str, wrong: str) -> None:
    with pytest.raises(CompileError) as caught:
        read(source)
    assert str(caught.value) == f"ERROR [odd.bal:{wrong}"


def test_a_name_is_followed_through_the_modules_of_a_package() -> None:
    main = "import odd.settings;\nservice / on settings:api { resource function get .() { } }\nconfigurable string key = ?;\n"
    settings = "import ballerina/http;\nconfigurable int port = 8081;\nlistener http:Listener api = new (port);\n"
    made = program(Sources("acme", "odd", "0.1.0", {"odd": {"odd.bal": main}, "odd.settings": {"s.bal": settings}}), [])
    assert [route.place for route in made.routes] == ["acme.odd.settings.port|odd.settings.port=8081"]
    assert made.required == ["acme.odd.key|odd.key|key"]


def test_two_packages_with_a_service_at_one_path_end_the_program_at_its_start() -> None:
    source = "import ballerina/http;\nservice /a on http:getDefaultListener() { resource function get .() { } }\n"
    other = Sources("acme", "other", "1.0.0", {"other": {"o.bal": source}})
    assert "two services have the same basePath : '/a'" in read(source, other).exit_message
    assert read(source + source).exit_status is None  # within one package they may be told apart by their hosts


def test_the_sample_answers_with_what_each_route_is() -> None:
    rooms, bookings, payments = (open_package(SAMPLE / name, "none").sources() for name in ("rooms", "bookings", "payments"))
    lines = [line.split("\t") for line in table(program(rooms, [bookings, payments])).splitlines() if line.startswith("route\t\t")]
    assert {(method, path): json.loads("{" + about + "}")["package"] for _, _, method, path, about in lines} == {
        ("GET", "/health"): "acme/rooms",
        ("GET", "/slow"): "acme/rooms",
        ("GET", "/rooms"): "acme/rooms",
        ("POST", "/bookings"): "acme/bookings",
        ("GET", "/payments"): "acme/payments",
        ("GET", "/payments/[]"): "acme/payments",
    }
