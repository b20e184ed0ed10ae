"""The executables that the lab makes answer and stop as Ballerina's do: the jar, and the file that stands for a native binary."""

import contextlib
import http.client
import json
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from balbook.lab import ports
from balbook.lab.ballerina.bal import write_launcher
from balbook.lab.ballerina.jar import JAVA_OPTIONS, sample_jar, write_jar
from balbook.lab.ballerina.native import make_binary, make_graalvm
from balbook.lab.ballerina.package import Sources, open_package
from balbook.lab.ballerina.routes import Program, program

pytestmark = [pytest.mark.integration, pytest.mark.skipif(not shutil.which("javac"), reason="needs a JDK")]
SAMPLE = Path(__file__).parents[3] / "templates" / "sample"
START_S = 30
SLOW = '[balbook.lab.delay_s]\n"/health" = {}\n'


@dataclass
class Service:
    """A running executable; what it printed is in `log`."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def request(self, method: str, path: str, body: str | None = None, headers: dict[str, str] | None = None) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            assert answer.headers["X-Balbook-Release"] == "0.1.0"
            return answer.status, answer.read().decode()


@pytest.fixture(params=["jar", "native"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def argv(kind: str, made: Program, directory: Path) -> list[str]:
    jar = write_jar(directory / "app.jar", made)
    return [str(make_binary(jar, directory / "app"))] if kind == "native" else ["java", *JAVA_OPTIONS, "-jar", str(jar)]


@contextlib.contextmanager
def started(command: list[str], directory: Path, *, grace_s: float = 0, more: str = "") -> Iterator[Service]:
    port = ports.reserve(["service"], (), random.Random())["service"]
    (directory / "Config.toml").write_text(
        f"[ballerina.http]\ndefaultListenerPort = {port} # the port\n\n"
        f'[ballerina.http.defaultListenerConfig]\nhost = "127.0.0.1"\ngracefulStopTimeout = {grace_s}\n{more}'
    )
    log = directory / "log"
    with log.open("wb") as stream:
        process = subprocess.Popen(command, cwd=directory, stdout=stream, stderr=stream)
    try:
        wait_for(lambda: "listening on" in log.read_text() or process.poll() is not None)
        yield Service(process, port, log)
    finally:
        process.kill()
        process.wait()


def wait_for(condition: Any) -> None:
    deadline = time.monotonic() + START_S
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.02)


def sample() -> Program:
    rooms, *others = (open_package(SAMPLE / name, "none").sources() for name in ("rooms", "bookings", "payments"))
    return program(rooms, others)


def small(source: str) -> Program:
    return program(Sources("acme", "app", "0.1.0", {"app": {"app.bal": f"import ballerina/http;\n{source}"}}), [])


def test_a_route_answers_with_what_it_is_and_that_nothing_was_run(kind: str, tmp_path: Path) -> None:
    with started(argv(kind, sample(), tmp_path), tmp_path) as service:
        status, body = service.request("GET", "/payments/b%209", headers={"X-Request-Id": "r-1"})
        assert (status, json.loads(body)) == (
            200,
            {
                "package": "acme/payments",
                "version": "0.1.0",
                "resource": "get [string booking]",
                "method": "GET",
                "path": "/payments/b%209",
                "request_id": "r-1",
                "lab": "stand-in: nothing was run",
            },
        )
        status, body = service.request("GET", "/attic")
        assert (status, json.loads(body)["reason"]) == (404, "Not Found")
        assert service.request("DELETE", "/rooms")[0] == 405
        assert "lab stand-in for Ballerina, runs nothing" in service.log.read_text()


def test_each_post_is_printed_with_its_id(kind: str, tmp_path: Path) -> None:
    with started(argv(kind, sample(), tmp_path), tmp_path) as service:
        assert service.request("POST", "/bookings", '{"room": "101"}', {"X-Request-Id": "r-17"})[0] == 201
        service.request("GET", "/rooms", headers={"X-Request-Id": "r-18"})
        assert [line for line in service.log.read_text().splitlines() if "executed" in line] == ["executed POST /bookings id=r-17"]


def test_paths_are_matched_literally_before_parameters_before_the_rest(tmp_path: Path) -> None:
    paths = ("get [string... all]", "get a/[string b]", "get a/b\\-c", "'default any", "get .")
    source = "service / on http:getDefaultListener() {" + "".join(f"resource function {p}() {{ }}" for p in paths) + "}"
    with started(argv("jar", small(source), tmp_path), tmp_path) as service:
        for path, resource in (("/a/b-c", "get a/b\\-c"), ("/a/x", "get a/[string b]"), ("/x/y/z", "get [string... all]"), ("/", "get .")):
            assert json.loads(service.request("GET", path)[1])["resource"] == resource
        assert json.loads(service.request("PATCH", "/any")[1])["resource"] == "'default any"


def test_reads_chunked_bodies_and_keeps_connections(tmp_path: Path) -> None:
    with started(argv("jar", sample(), tmp_path), tmp_path) as service:
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=10)
        with contextlib.closing(connection):
            for name in ("one", "two"):
                headers = {"Transfer-Encoding": "chunked", "X-Request-Id": name}
                connection.request("POST", "/bookings", iter([b"some", b"-", b"text"]), encode_chunked=True, headers=headers)
                assert json.load(connection.getresponse())["request_id"] == name


def test_slow_requests_hold_up_no_others(tmp_path: Path) -> None:
    with started(argv("jar", sample(), tmp_path), tmp_path, more=SLOW.format(60)) as service:
        waiting = [socket.create_connection(("127.0.0.1", service.port), timeout=10) for _ in range(40)]
        for connection in waiting:
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert service.request("GET", "/rooms")[0] == 200
        for connection in waiting:
            connection.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_graceful_stop_refuses_new_connections_and_finishes_requests_within_its_time(
    kind: str, tmp_path: Path, number: signal.Signals
) -> None:
    with started(argv(kind, sample(), tmp_path), tmp_path, grace_s=2.5, more=SLOW.format(1.2)) as service:
        kept = in_flight(service)
        service.process.send_signal(number)
        wait_for(lambda: "stopping" in service.log.read_text())
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", service.port), timeout=5)
        assert kept.recv(4096).endswith(b'run"}')
        assert service.process.poll() is None, "it ended before its time"
        assert kept.recv(4096) == b""
        assert service.process.wait(20) == 128 + number


def test_without_a_graceful_stop_requests_in_flight_are_cut(tmp_path: Path) -> None:
    with started(argv("jar", sample(), tmp_path), tmp_path, more=SLOW.format(60)) as service:
        kept = in_flight(service)
        service.process.terminate()
        with contextlib.suppress(ConnectionError):
            assert kept.recv(4096) == b"", "the webhook answered"


def in_flight(service: Service) -> socket.socket:
    """The connection of a request for /health that the service has in hand: one that came after it is answered."""
    kept = socket.create_connection(("127.0.0.1", service.port), timeout=20)
    kept.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
    assert service.request("GET", "/rooms")[0] == 200
    return kept


@pytest.mark.parametrize("name", ["acme.app.port", "app.port", "port"])
def test_a_listener_of_its_own_takes_its_port_from_the_configuration(tmp_path: Path, name: str) -> None:
    source = "configurable int port = 9;\nservice / on new http:Listener(port) { resource function get .() { } }"
    port = ports.reserve(["service"], (), random.Random())["service"]
    with started([*argv("jar", small(source), tmp_path), f"-C{name}={port}"], tmp_path) as service:
        service.port = port
        assert service.request("GET", "/")[0] == 200


def test_settings_come_from_arguments_then_files_then_data(tmp_path: Path) -> None:
    first, second = tmp_path / "first.toml", tmp_path / "second.toml"
    odd = '[acme.app]\nlong = [\n  "x",\n]\nodd = "\\u00e9"\n'
    first.write_text(f'[balbook.lab.status]\n"/rooms" = 500\n"/health" = 501\n{odd}')
    second.write_text('[balbook.lab.status]\n"/health" = 502\n"/bookings" = 503\n')
    port = ports.reserve(["service"], (), random.Random())["service"]
    environment = f"BAL_CONFIG_FILES={first}:{second}", "BAL_CONFIG_DATA=x = 1", "PATH=/usr/bin:/bin"
    arguments = ("-Cbalbook.lab.status./rooms=504", f"-Cballerina.http.defaultListenerPort={port}")
    with started(["env", "-i", *environment, *argv("jar", sample(), tmp_path), *arguments], tmp_path) as service:
        service.port = port
        found = [service.request(method, path)[0] for method, path in (("GET", "/rooms"), ("GET", "/health"), ("POST", "/bookings"))]
        assert found == [504, 501, 503]


def test_a_required_setting_that_is_missing_ends_it_and_a_table_of_its_name_does_not(tmp_path: Path) -> None:
    source = "configurable map<string> keys = ?;\nservice / on http:getDefaultListener() { resource function get .() { } }"
    command = argv("jar", small(source), tmp_path)
    with started(command, tmp_path) as service:
        assert service.process.wait(20) == 1
        assert "value not provided for required configurable variable 'keys'" in service.log.read_text()
    with started(command, tmp_path, more='[acme.app.keys]\na = "b"\n') as service:
        assert service.request("GET", "/")[0] == 200


def test_a_port_that_is_taken_ends_it(kind: str, tmp_path: Path) -> None:
    command = argv(kind, sample(), tmp_path)
    with started(command, tmp_path) as service:
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False)
        assert (done.returncode, "failed to start server connector" in done.stderr) == (1, True)
        assert service.process.poll() is None


def test_bad_releases_can_be_made(tmp_path: Path) -> None:
    sick = sample_jar(tmp_path / "sick.jar", "0.1.0", health_status=503)
    dead = sample_jar(tmp_path / "dead.jar", "0.1.0", exit_status=3)
    with started(["java", *JAVA_OPTIONS, "-jar", str(sick)], tmp_path) as service:
        assert service.request("GET", "/health")[0] == 503
        assert service.request("GET", "/rooms")[0] == 200
    assert subprocess.run(["java", "-jar", str(dead)], capture_output=True, timeout=30, check=False).returncode == 3


def test_two_builds_of_the_same_sources_differ_in_bytes(tmp_path: Path) -> None:
    jars = [write_jar(tmp_path / f"{n}.jar", sample()) for n in "ab"]
    assert jars[0].read_bytes() != jars[1].read_bytes()


def test_bal_build_with_graalvm_leaves_an_executable_named_like_the_package_and_says_what_it_is(tmp_path: Path) -> None:
    shutil.copytree(SAMPLE / "payments", tmp_path / "payments")
    home = {"BALLERINA_HOME_DIR": str(tmp_path / "home"), "GRAALVM_HOME": str(make_graalvm(tmp_path / "graalvm"))}
    bal = write_launcher(tmp_path / "bin" / "bal", home)
    done = subprocess.run(
        [str(bal), "build", "--graalvm"], cwd=tmp_path / "payments", capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert (lines[3], lines[-1]) == ("Generating executable with Native image", "\ttarget/bin/payments")
    assert "no native image was made" in lines[-2]
    with started([str(tmp_path / "payments/target/bin/payments")], tmp_path) as service:
        assert service.request("GET", "/payments")[0] == 200
