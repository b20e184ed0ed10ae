"""What the stand-in reads in sources: routes, ports, defaults; and what it refuses, with the place."""

from pathlib import Path

import pytest

from balbook.lab.ballerina.compiler import program
from balbook.lab.ballerina.package import Sources, open_package
from balbook.lab.ballerina.routes import Configurable, Program, Route, table
from balbook.lab.ballerina.source import BeyondStandIn, CompileError
from balbook.lab.ballerina.testing import run_tests

SAMPLE = Path(__file__).parents[3] / "templates" / "sample"
HTTP = "import ballerina/http;\nimport ballerina/lang.runtime;\nimport ballerina/io;\n"


def compiled(source: str) -> Program:
    return program(Sources("acme", "inn", "0.1.0", {"inn": {"inn.bal": HTTP + source}}), [])


def resource(head: str, body: str, *, more: str = "") -> Route:
    source = f"service /inn on http:getDefaultListener() {{\n resource function {head} {{\n{body}\n}}\n}}\n{more}"
    return compiled(source).routes[0]


@pytest.mark.parametrize(
    ("head", "body", "expected"),
    [
        ("get .() returns string", 'return "hi";', Route("GET", "/inn", body="hi", content_type="text/plain")),
        (
            "get a/b/[string c]() returns string",
            "return c;",
            Route("GET", "/inn/a/b/{c}", body="{{plain:path.c}}", content_type="text/plain"),
        ),
        ("get n/[int c]() returns json", "return {c};", Route("GET", "/inn/n/{c}", body='{"c":{{path.c}}}')),
        ("get q(string? w) returns json", 'return {w: w ?: ""};', Route("GET", "/inn/q", body='{"w":"{{text:query.w}}"}')),
        ("post .() returns json", "return [];", Route("POST", "/inn", status=201, body="[]")),
        ("get .() returns http:NotFound", "return http:NOT_FOUND;", Route("GET", "/inn", status=404, content_type="text/plain")),
        ("get .() returns http:Ok", "return <http:Ok>{body: 1.50};", Route("GET", "/inn", body="1.50")),
        ("get .() returns http:ServiceUnavailable", "return {body: true};", Route("GET", "/inn", status=503, body="true")),
        ("put .() returns error?", "return;", Route("PUT", "/inn", status=202, content_type="text/plain")),
        ("get .() returns int", "runtime:sleep(1.5);\nreturn 2 + 3 * 4;", Route("GET", "/inn", body="14", delay_ms=1500)),
        ("delete .()", 'io:println("gone ", 1);', Route("DELETE", "/inn", status=202, content_type="text/plain", prints=("gone 1",))),
    ],
)
def test_a_resource_becomes_a_route(head: str, body: str, expected: Route) -> None:
    assert resource(head, body) == expected


def test_a_payload_binds_the_fields_that_its_record_requires() -> None:
    record = "type Stay record {| int nights; string? note; string guest?; boolean late = false; |};"
    route = resource("post .(Stay stay) returns json", "return {n: stay.nights, ...stay};", more=record)
    assert route.required == ("nights", "note")
    assert route.body == '{"n":{{payload.nights}},{{members}}}'


def test_a_service_may_listen_at_a_port_of_its_own_or_a_configured_one() -> None:
    made = compiled(
        "configurable int adminPort = 9292;\n"
        'service /a on new http:Listener(9191) { resource function get .() returns string { return "a"; } }\n'
        'service /b on new http:Listener(adminPort) { resource function get .() returns string { return "b"; } }\n'
    )
    assert [route.port for route in made.routes] == ["9191", "config.acme.inn.adminPort"]
    assert made.configurables == [Configurable("acme.inn.adminPort", "9292")]


def test_a_configurable_without_a_default_is_required() -> None:
    assert compiled("configurable string key = ?;\n").configurables == [Configurable("acme.inn.key", None)]


def test_two_services_of_one_path_end_the_program_at_its_start() -> None:
    service = 'service /a on http:getDefaultListener() { resource function get .() returns string { return "a"; } }\n'
    made = compiled(service + service)
    assert made.exit_status == 1
    assert "two services have the same basePath" in made.exit_message


def test_a_program_without_services_prints_what_main_prints() -> None:
    assert list(compiled("public function main() {\n io:println(string `two ${1 + 1}`);\n}\n").prints) == ["two 2"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return missing;", "(6:8,6:15)] undefined symbol 'missing'"),
        ("return missing();", "(6:8,6:15)] undefined function 'missing'"),
        ("return tea:pot();", "(6:8,6:11)] undefined module 'tea'"),
        ('return "open;', "(6:14,6:14)] missing double quote"),
        ("return 1 +;", "(6:11,6:12)] invalid token ';'"),
        ("return (1;", "missing close parenthesis token"),
        ("int x = 1", "(7:1,7:1)] missing semicolon token"),
        ("1;", "invalid expression statement"),
    ],
)
def test_a_wrong_source_is_refused_with_its_place(body: str, said: str) -> None:
    with pytest.raises(CompileError) as refused:
        resource("get .() returns json", body)
    assert said in str(refused.value)
    assert str(refused.value).startswith("ERROR [inn.bal:(")


@pytest.mark.parametrize("body", ["while true { }", "lock { }", "if w is () { return 1; }\nreturn 2;", "return http:parseHeader(w);"])
def test_what_it_does_not_run_it_refuses_instead_of_guessing(body: str) -> None:
    with pytest.raises(BeyondStandIn, match="the lab's stand-in for Ballerina does not run"):
        resource("get .(string? w) returns json", body)


def test_escapes_keep_each_record_of_the_table_on_one_line() -> None:
    route = Route("GET", "/a", body="one\ntwo\tthree\\four")
    text = table(Program("inn", "1", {}, [route]))
    assert text.splitlines()[-1] == "route\t\tGET\t/a\t200\t0\tapplication/json\t\tone\\ntwo\\tthree\\\\four"


@pytest.mark.parametrize("name", ["rooms", "bookings", "payments"])
def test_the_sample_packages_pass_their_own_tests(name: str) -> None:
    package = open_package(SAMPLE / name, "none")
    outcomes = run_tests(package.sources(), package.tests(), [], package.test_settings())[name]
    assert outcomes
    assert [outcome for outcome in outcomes if outcome.problem] == []


def test_the_sample_serves_its_routes_together() -> None:
    rooms, bookings, payments = (open_package(SAMPLE / name, "none").sources() for name in ("rooms", "bookings", "payments"))
    made = program(rooms, [bookings, payments])
    assert made.exit_status is None
    assert {(route.method, route.path) for route in made.routes} == {
        ("GET", "/health"),
        ("GET", "/slow"),
        ("GET", "/rooms"),
        ("POST", "/bookings"),
        ("GET", "/payments"),
        ("GET", "/payments/{booking}"),
    }
    assert {route.port for route in made.routes} == {""}
    assert next(route for route in made.routes if route.path == "/slow").delay_ms == 5000


def test_a_failing_assertion_a_returned_error_and_a_disabled_test_are_told_apart() -> None:
    tests = {
        "inn": {
            "tests/t.bal": "import ballerina/test;\n"
            "@test:Config {}\nfunction a() { test:assertTrue(1 > 2); }\n"
            '@test:Config {}\nfunction b() returns error? { return error("no"); }\n'
            "@test:Config {enable: false}\nfunction c() { test:assertFail(); }\n"
            "@test:Config {}\nfunction d() { test:assertEquals({x: [1, 2]}, {x: [1, 2]}); }\n"
        }
    }
    outcomes = run_tests(Sources("acme", "inn", "0.1.0", {"inn": {}}), tests, [], {})["inn"]
    assert [(o.name, bool(o.problem)) for o in outcomes] == [("a", True), ("b", True), ("d", False)]
