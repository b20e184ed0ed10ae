"""The executables that the lab makes serve and stop as Ballerina's do: the jar and the native binary alike."""

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
from balbook.lab.ballerina.compiler import program
from balbook.lab.ballerina.jar import JAVA_OPTIONS, sample_jar, write_jar
from balbook.lab.ballerina.native import make_binary, make_graalvm
from balbook.lab.ballerina.package import open_package
from balbook.lab.ballerina.routes import Configurable, Program, Route

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not (shutil.which("javac") and shutil.which("cc")), reason="needs a JDK and a C compiler"),
]
SAMPLE = Path(__file__).parents[3] / "templates" / "sample"
START_S = 30
QUICK = Route("GET", "/quick", body="q")


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


def small(*routes: Route, configurables: tuple[Configurable, ...] = ()) -> Program:
    return Program("app", "0.1.0", {"acme/app": "0.1.0"}, routes, configurables)


def test_serves_what_the_sources_define(kind: str, tmp_path: Path) -> None:
    more = '[acme.rooms]\ncurrency = "US\\"D" # quoted\n'
    with started(argv(kind, sample(), tmp_path), tmp_path, more=more) as service:
        assert service.request("GET", "/health") == (200, '{"status":"UP"}')
        assert json.loads(service.request("GET", "/rooms")[1])[0] == {"number": "101", "beds": 2, "rate": 80.0, "currency": 'US"D'}
        assert json.loads(service.request("GET", "/payments/b%209")[1])["booking"] == "b 9"
        status, body = service.request("GET", "/attic")
        assert (status, json.loads(body)["reason"]) == (404, "Not Found")
        assert service.request("DELETE", "/rooms")[0] == 405
        assert "lab stand-in" in service.log.read_text()


def test_prints_each_post_that_it_executes_with_its_id(kind: str, tmp_path: Path) -> None:
    booking = json.dumps({"room": "101", "guest": 'Ada "A" {x}', "nights": 2})
    with started(argv(kind, sample(), tmp_path), tmp_path) as service:
        status, body = service.request("POST", "/bookings", booking, {"X-Request-Id": "r-17"})
        assert (status, json.loads(body)["guest"]) == (201, 'Ada "A" {x}')
        assert service.request("POST", "/bookings", '{"room": "101"}', {"X-Request-Id": "r-18"})[0] == 400
        assert service.request("POST", "/bookings", "[1]", {"X-Request-Id": "r-19"})[0] == 400
        assert [line for line in service.log.read_text().splitlines() if "executed" in line] == ["executed POST /bookings id=r-17"]


def test_a_post_without_prints_of_its_own_is_printed_too(kind: str, tmp_path: Path) -> None:
    with started(argv(kind, small(Route("POST", "/act", status=201, body="{}")), tmp_path), tmp_path) as service:
        service.request("POST", "/act", "{}", {"X-Request-Id": "r-1"})
        assert "executed POST /act id=r-1" in service.log.read_text().splitlines()


def test_reads_chunked_bodies_and_keeps_connections(kind: str, tmp_path: Path) -> None:
    echo = Route("POST", "/echo", body="{{payload}}", content_type="text/plain")
    with started(argv(kind, small(echo), tmp_path), tmp_path) as service:
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=10)
        with contextlib.closing(connection):
            for text in ("one", "two"):
                connection.request(
                    "POST", "/echo", iter([text.encode(), b"-", b"end"]), encode_chunked=True, headers={"Transfer-Encoding": "chunked"}
                )
                assert connection.getresponse().read().decode() == f"{text}-end"


def test_slow_requests_hold_up_no_others(kind: str, tmp_path: Path) -> None:
    slow = Route("GET", "/slow", body="s", delay_ms=60_000)
    with started(argv(kind, small(slow, QUICK), tmp_path), tmp_path) as service:
        waiting = [socket.create_connection(("127.0.0.1", service.port), timeout=10) for _ in range(40)]
        for connection in waiting:
            connection.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        assert service.request("GET", "/quick") == (200, "q")
        for connection in waiting:
            connection.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_graceful_stop_refuses_new_connections_and_finishes_requests_within_its_time(
    kind: str, tmp_path: Path, number: signal.Signals
) -> None:
    slow = Route("GET", "/slow", body="done", delay_ms=1200)
    with started(argv(kind, small(slow, QUICK), tmp_path), tmp_path, grace_s=2.5) as service:
        kept = in_flight(service)
        service.process.send_signal(number)
        wait_for(lambda: "stopping" in service.log.read_text())
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", service.port), timeout=5)
        assert kept.recv(4096).endswith(b"done")
        assert service.process.poll() is None, "it ended before its time"
        assert kept.recv(4096) == b""
        assert service.process.wait(20) == 128 + number


def test_without_a_graceful_stop_requests_in_flight_are_cut(kind: str, tmp_path: Path) -> None:
    slow = Route("GET", "/slow", body="done", delay_ms=60_000)
    with started(argv(kind, small(slow, QUICK), tmp_path), tmp_path) as service:
        kept = in_flight(service)
        service.process.terminate()
        with contextlib.suppress(ConnectionError):
            assert kept.recv(4096) == b"", "it answered"


def in_flight(service: Service) -> socket.socket:
    """The connection of a request for /slow that the service has in hand: one that came after it is answered."""
    kept = socket.create_connection(("127.0.0.1", service.port), timeout=20)
    kept.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
    assert service.request("GET", "/quick") == (200, "q")
    return kept


def test_settings_come_from_arguments_then_files_then_data(kind: str, tmp_path: Path) -> None:
    shown = Route("GET", "/", body="{{config.acme.app.a}}{{config.acme.app.b}}{{config.acme.app.c}}", content_type="text/plain")
    made = small(shown, configurables=tuple(Configurable(f"acme.app.{x}", "0") for x in "abc"))
    command = argv(kind, made, tmp_path)
    first, second = tmp_path / "first.toml", tmp_path / "second.toml"
    first.write_text("[acme.app]\na = 1\nb = 1\n")
    second.write_text("[acme.app]\nb = 2\nc = 2\n[ballerina.http.defaultListenerConfig]\nhost = '127.0.0.1'\n")
    port = ports.reserve(["service"], (), random.Random())["service"]
    environment = f"BAL_CONFIG_FILES={first}:{second}", "BAL_CONFIG_DATA=broken = 1", "PATH=/usr/bin:/bin"
    full = ["env", "-i", *environment, *command, "-Cacme.app.a=9", f"-Cballerina.http.defaultListenerPort={port}"]
    with started(full, tmp_path) as service:
        service.port = port
        assert service.request("GET", "/") == (200, "912")


def test_a_required_setting_that_is_missing_ends_it(kind: str, tmp_path: Path) -> None:
    command = argv(kind, small(Route("GET", "/"), configurables=(Configurable("acme.app.key"),)), tmp_path)
    with started(command, tmp_path) as service:
        assert service.process.wait(20) == 1
        assert "value not provided for required configurable variable" in service.log.read_text()


def test_a_port_that_is_taken_ends_it(kind: str, tmp_path: Path) -> None:
    command = argv(kind, small(Route("GET", "/")), tmp_path)
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
    binaries = [make_binary(jar, tmp_path / jar.stem) for jar in jars]
    assert binaries[0].read_bytes() != binaries[1].read_bytes()
    assert binaries[0].read_bytes()[:4] == b"\x7fELF"


def test_bal_build_with_graalvm_leaves_a_binary_named_like_the_package(tmp_path: Path) -> None:
    from balbook.lab.ballerina.bal import write_launcher

    shutil.copytree(SAMPLE / "payments", tmp_path / "payments")
    home = {"BALLERINA_HOME_DIR": str(tmp_path / "home"), "GRAALVM_HOME": str(make_graalvm(tmp_path / "graalvm"))}
    bal = write_launcher(tmp_path / "bin" / "bal", home)
    done = subprocess.run(
        [str(bal), "build", "--graalvm"], cwd=tmp_path / "payments", capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert (lines[3], lines[-1]) == ("Generating executable with Native image", "\ttarget/bin/payments")
    with started([str(tmp_path / "payments/target/bin/payments")], tmp_path) as service:
        assert json.loads(service.request("GET", "/payments")[1])[0]["booking"] == "b-1"
