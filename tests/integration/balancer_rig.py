"""A real balancer with real backends on free ports of 127.0.0.1, and an open-loop load, for tests and benchmarks."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from balbook.commands import nginx
from balbook.commands.balancer import State, configuration_path, generation_host, place, render_balancer, render_main
from balbook.commands.command import Command, Result
from balbook.inventory.models import Inventory
from balbook.lab import ports

BACKEND = Path(__file__).with_name("backend_process.py")


def free_port() -> int:
    """One that is listened on later; not of the range that connections take theirs from."""
    return ports.reserve(("port",), (), random.Random())["port"]


def until(condition: Callable[[], Any], within_s: float = 10, what: str = "the condition") -> None:
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, f"{what} did not come true within {within_s} s"
        time.sleep(0.02)


def run(command: Command, shell: str = "") -> Result:
    """Run a command here as a transport would; `shell` replaces `sh`."""
    argv = [shell, *command.argv[1:]] if shell and command.argv[0] == "sh" else list(command.argv)
    environment = {**os.environ, **command.environment}
    text = "".join(str(part) for part in command.stdin)
    start = time.monotonic()
    done = subprocess.run(argv, input=text, text=True, capture_output=True, timeout=command.deadline_s, env=environment)
    return Result(done.returncode, done.stdout, done.stderr, time.monotonic() - start)


def is_open(port: int) -> bool:
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


@dataclass
class Backend:
    """One instance: a process that can be killed, hung, woken and restarted."""

    port: int
    log: Path
    grace_s: float = 0.5
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen([sys.executable, "-S", str(BACKEND), str(self.port), str(self.log), str(self.grace_s)])
        until(lambda: is_open(self.port), what="the backend's port")

    def send(self, number: signal.Signals) -> None:
        assert self.process
        self.process.send_signal(number)

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self) -> None:
        """Stop gracefully and wait for the end."""
        self.send(signal.SIGTERM)
        assert self.process
        self.process.wait(self.grace_s + 10)
        self.process = None

    def executed(self) -> list[str]:
        return self.log.read_text().split() if self.log.exists() else []


@dataclass
class Rig:
    """One application behind one own balancer, in `folder`."""

    folder: Path
    kind: str = "nginx"
    backends: int = 2
    strategy: str = "active_active"
    method: str = "least_conn"
    routes: dict[str, dict[str, float]] = field(default_factory=dict)
    balancer: dict[str, Any] = field(default_factory=dict)
    grace_s: float = 0.5
    instances: list[Backend] = field(default_factory=list)
    inventory: Inventory = field(init=False)

    def __post_init__(self) -> None:
        names = ["listen", "generation", *(f"backend {i}" for i in range(self.backends))]
        self.listen, self.generation_port, *backends = ports.reserve(names, (), random.Random()).values()
        self.instances = [Backend(port, self.folder / f"executed-{i}", self.grace_s) for i, port in enumerate(backends)]
        host = {"address": "127.0.0.1", "supervisor": "process", "root": str(self.folder / "root")}
        apps = {f"app{i + 1}": {**host, "roles": ["app"]} for i in range(self.backends)}
        application = {
            "balancer": "public",
            "strategy": self.strategy,
            "instances": [{"host": name, "port": b.port} for name, b in zip(apps, self.instances, strict=True)],
            "routes": self.routes or {"/": {"timeout_s": 60}},
        }
        balancer = {
            "host": "lb1",
            "kind": self.kind,
            "configuration": "own",
            "worker_user": "root",
            "listen": self.listen,
            "generation_port": self.generation_port,
            "method": self.method,
            **self.balancer,
        }
        self.inventory = Inventory.model_validate(
            {
                "hosts": {**apps, "lb1": {**host, "roles": ["balancer"]}},
                "applications": {"hotel": application},
                "balancers": {"public": balancer},
            }
        )
        self.place = place(self.inventory, "public")
        self.path = Path(configuration_path(self.inventory, "hotel"))

    def name(self, number: int) -> str:
        return self.inventory.applications["hotel"].instances[number].name

    def address(self, number: int) -> str:
        return f"127.0.0.1:{self.instances[number].port}"

    def up(self) -> Rig:
        for backend in self.instances:
            backend.start()
        main = render_main(self.inventory, "public", is_root=os.geteuid() == 0)
        started = run(nginx.start(self.place, main))
        assert started.status == 0, started
        applied = self.apply()
        assert applied.status == 0, applied
        return self

    def content(self, *drained: int) -> str:
        states: dict[str, State] = {self.name(number): "down" for number in drained}
        return render_balancer(self.inventory, "hotel", states)

    def command(self, content: str, **options: Any) -> Command:
        """What puts `content` in force."""
        host = generation_host("hotel")
        return nginx.apply_configuration(
            self.place, str(self.path), content, generation_port=self.generation_port, generation_host=host, **options
        )

    def apply(self, *drained: int, shell: str = "", **options: Any) -> Result:
        return run(self.command(self.content(*drained), **options), shell)

    def is_applied(self, content: str, *, pid_file: str = "") -> bool:
        command = nginx.is_applied(
            str(self.path), content, generation_port=self.generation_port, generation_host=generation_host("hotel"), pid_file=pid_file
        )
        return run(command).status == 0

    def down(self) -> None:
        run(nginx.stop(self.place, within_s=1))
        for backend in self.instances:
            backend.kill()


@dataclass(frozen=True)
class Answer:
    """What became of one request: `status` 0 where there was none; `is_unread`: closed before any byte came back."""

    id: str
    method: str
    at_s: float
    seconds: float
    status: int
    upstream: str = ""
    is_unread: bool = False
    error: str = ""

    @property
    def is_failed(self) -> bool:
        return not 200 <= self.status < 400


@dataclass
class Load:
    """Requests at a steady rate, whatever becomes of them, in streams of one method and one kind of connection."""

    port: int
    rate: float = 200
    method: str = "GET"
    path: str = "/"
    is_fresh: bool = True
    timeout_s: float = 10
    name: str = "load"
    connections: int = 16
    answers: list[Answer] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self.is_ended = False

    async def go_on(self, seconds: float | None = None) -> list[Answer]:
        """Send for `seconds`, or until `is_ended` is set; then wait for the last answers."""
        start, number = time.monotonic(), 0
        tasks: set[asyncio.Task[None]] = set()
        while not self.is_ended and (seconds is None or time.monotonic() - start < seconds):
            tasks.add(task := asyncio.create_task(self._one(f"{self.name}-{number}")))
            task.add_done_callback(tasks.discard)
            number += 1
            await asyncio.sleep(max(0, start + number / self.rate - time.monotonic()))
        await asyncio.gather(*tasks)
        for _, writer in self._idle:
            writer.close()
        return self.answers

    async def _one(self, request_id: str) -> None:
        start = time.monotonic()
        state = {"unread": True}
        try:
            status, upstream = await asyncio.wait_for(self._exchange(request_id, state), self.timeout_s)
            answer = Answer(request_id, self.method, start, time.monotonic() - start, status, upstream)
        except (OSError, EOFError, TimeoutError, asyncio.IncompleteReadError) as problem:
            is_unread = state["unread"] and not isinstance(problem, TimeoutError)
            answer = Answer(request_id, self.method, start, time.monotonic() - start, 0, "", is_unread, type(problem).__name__)
        self.answers.append(answer)

    async def _exchange(self, request_id: str, state: dict[str, bool]) -> tuple[int, str]:
        reader, writer = await self._connection()
        is_reusable = False
        try:
            body = b'{"order": 1}' if self.method == "POST" else b""
            head = f"{self.method} {self.path} HTTP/1.1\r\nHost: localhost\r\nX-Balbook-Probe: 1\r\nX-Request-Id: {request_id}\r\n"
            head += f"Content-Length: {len(body)}\r\n" if body else ""
            head += "Connection: close\r\n" if self.is_fresh else ""
            writer.write(head.encode() + b"\r\n" + body)
            lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            state["unread"] = False
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:] if line)}
            await reader.readexactly(int(headers.get("content-length", 0)))
            is_reusable = not self.is_fresh and headers.get("connection") != "close"
            return int(lines[0].split()[1]), headers.get("x-balbook-upstream", "")
        finally:
            if is_reusable:
                self._idle.append((reader, writer))
            else:
                writer.close()

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self._idle:
            reader, writer = self._idle.pop(0)
            if not reader.at_eof() and not writer.is_closing():
                return reader, writer
            writer.close()
        return await asyncio.open_connection("127.0.0.1", self.port)


def under_load(load: Load, change: Callable[[], None]) -> list[Answer]:
    """The answers to `load` while `change` runs in a thread, with a moment before and after."""

    async def both() -> list[Answer]:
        sending = asyncio.create_task(load.go_on())
        try:
            await asyncio.sleep(0.5)
            await asyncio.to_thread(change)
            await asyncio.sleep(0.5)
        finally:
            load.is_ended = True
        return await sending

    return asyncio.run(both())


def statuses(answers: list[Answer]) -> Counter[str]:
    """How many answers of each status or error there are."""
    return Counter(str(a.status) if a.status else a.error for a in answers)
