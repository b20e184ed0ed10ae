"""The probe's own process: an open loop of requests, each due at a time that no answer can delay.

Request i is due at `t0 + i/rate`, and its latency counts from then: a stall, of the service or of the probe, shows in
every request that it delays. Nothing is retried; a timeout is a sample.

One thread runs the loop on raw sockets. It waits with `select` on the selector's own descriptor, since the selector's
timeout has a resolution of a millisecond only. Files are written by `recorder`. A fresh connection is kept after
its response until the server closes it: so the server, not the probe, holds the port for the minute of TIME_WAIT.
"""

from __future__ import annotations

import dataclasses
import json
import select
import selectors
import sys
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path

from balbook.errors import BadInput, ExitStatus, HostUnreachable
from balbook.probe.config import ProbeConfig, Stream, config_from, schedule
from balbook.probe.connection import Connection, Request, Target, resolve, with_every_address
from balbook.probe.control import Control, calm_process
from balbook.probe.judge import ProcessFacts, judge
from balbook.probe.phases import read_marks
from balbook.probe.recorder import Recorder, write_json
from balbook.probe.samples import DROPPED, OK, Sample, read_samples

BURST = 4  # requests that are sent late in a row before answers are looked at
LINGER_S = 1.0
LEAD_IN_S = 0.1
SUMMARY = "summary.json"
clock = time.monotonic


def main(argv: list[str]) -> int:
    """`python -m balbook.probe CONFIG.json`: probe until told to stop (see `Control`); 2 where the file cannot be used."""
    if len(argv) != 1:
        print("usage: python -m balbook.probe CONFIG.json", file=sys.stderr)
        return ExitStatus.BAD_INPUT
    try:
        config = config_from(json.loads(Path(argv[0]).read_text(encoding="utf-8")))
        config = dataclasses.replace(config, instances=with_every_address(config.instances))
        target = resolve(config.connect_to or config.host, config.port)
    except (BadInput, OSError, ValueError, TypeError, KeyError) as exc:
        print(f"{argv[0]}: {exc}", file=sys.stderr)
        return ExitStatus.BAD_INPUT
    except HostUnreachable as exc:
        print(exc, file=sys.stderr)
        return ExitStatus.FAILED
    calm_process()  # before the first request is due
    Prober(config, target).run()
    return 0


class Prober:
    """Sends by the schedule, takes the answers, and ends when `Control` says so."""

    def __init__(self, config: ProbeConfig, target: Target) -> None:
        self.config = config
        self.target = target
        self.next_index = 0
        self._heads = [_head(config, stream) for stream in config.streams]
        self._idle: list[deque[Connection]] = [deque() for _ in config.streams]
        self._in_flight: deque[Request] = deque()
        self._lingering: deque[tuple[float, Connection]] = deque()
        self._selector = selectors.DefaultSelector()
        self._t0 = clock() + LEAD_IN_S
        out_dir = Path(config.out_dir)
        out_dir.mkdir(parents=True, exist_ok=True)
        self._recorder = Recorder(out_dir, self._t0)
        self._control = Control(self._selector, lambda name: self._recorder.mark(name, round(clock() - self._t0, 6)))

    def run(self) -> None:
        """The whole run; afterwards all files are complete."""
        self._recorder.start()
        stopped_s = self._loop()
        self._recorder.finish()
        self._summarize(stopped_s)

    def _loop(self) -> float:
        """Sends the requests that are due, takes answers, sleeps until the next is due; after a stop it only takes answers.

        Returns the seconds after which nothing more was sent.
        """
        streams = schedule(self.config)
        interval, end = 1 / self.config.rate, self._t0 + self.config.max_seconds
        waitable = [self._selector.fileno()]
        while not self._control.why_stopped:
            for _ in range(BURST):
                due = self._t0 + self.next_index * interval
                if due > clock() or due >= end:
                    break
                self._send(due, next(streams))
            self._control.look(is_time_up=clock() >= end)
            due = min(end, self._t0 + self.next_index * interval)
            self._take(waitable, due)
        stopped_s = clock() - self._t0
        while self._in_flight:
            self._take(waitable, clock() + 1)
        return stopped_s

    def _take(self, waitable: list[int], until: float) -> None:
        """Waits for answers, at most until a time, and takes them; then ends the requests whose time is up."""
        if self._in_flight:
            until = min(until, self._in_flight[0].deadline)
        select.select(waitable, (), (), max(0.0, min(until - clock(), 0.1)))
        for key, _ in self._selector.select(0):
            if isinstance(key.data, Connection):
                self._go_on(key.data)
            else:
                key.data()
        now = clock()
        self._expire(now)
        while self._lingering and self._lingering[0][0] <= now:
            self._close(self._lingering.popleft()[1])

    def _send(self, due: float, number: int) -> None:
        stream = self.config.streams[number]
        index = self.next_index
        self.next_index += 1
        self._recorder.progress.sent = self.next_index
        sent = clock()
        request = Request(index, number, due, sent, due + self.config.timeout_s, self._payload(index, number))
        connection = self._idle_connection(number) if stream.is_keepalive else None
        try:
            kind = ""
            if connection is None:
                connection = Connection(self.target, number)
                kind = connection.open(self.target)
        except OSError:  # no descriptor left
            self._record(request, None, DROPPED)
            return
        kind = kind or connection.send(request)
        self._in_flight.append(request)
        if kind:
            request.connection = connection
            self._finish(connection, request, kind)
        else:
            self._watch(connection)

    def _payload(self, index: int, number: int) -> bytes:
        stream, head = self.config.streams[number], self._heads[number]
        request_id = self.config.request_id(index)
        body = stream.body.replace("{id}", request_id).encode()
        length = b"Content-Length: %d\r\n" % len(body) if body or stream.method != "GET" else b""
        return b"%sX-Request-Id: %s\r\n%s\r\n%s" % (head, request_id.encode(), length, body)

    def _idle_connection(self, number: int) -> Connection | None:
        """The idle connection that waited longest and that the peer has not closed, if any."""
        while self._idle[number]:
            connection = self._idle[number].popleft()
            if not connection.is_stale:
                connection.is_reused = True
                return connection
            self._recorder.progress.reconnects += 1
            self._close(connection)
        return None

    def _go_on(self, connection: Connection) -> None:
        request = connection.request
        if request is not None:
            if kind := connection.on_ready(clock()):
                self._finish(connection, request, kind)
            else:
                self._watch(connection)
        elif connection in self._idle[connection.stream]:
            self._idle[connection.stream].remove(connection)
            self._recorder.progress.reconnects += 1
            self._close(connection)
        else:
            self._close(connection)  # lingering, and now closed by the server too

    def _finish(self, connection: Connection, request: Request, kind: str) -> None:
        """The outcome is known: record it, then keep or close the connection."""
        self._record(request, connection, kind)
        request.connection = None
        connection.request = None
        stream = self.config.streams[request.stream]
        idle = self._idle[request.stream]
        if kind == OK and stream.is_keepalive and connection.reader.is_reusable and len(idle) < self.config.pool_size:
            idle.append(connection)
            self._watch(connection)
        elif kind == OK and not stream.is_keepalive:
            self._lingering.append((clock() + LINGER_S, connection))
            self._watch(connection)
        else:
            self._close(connection)

    def _record(self, request: Request, connection: Connection | None, kind: str) -> None:
        now = clock()
        request.deadline = 0.0  # done: `_expire` passes over it
        stream = self.config.streams[request.stream]
        status, headers = (connection.reader.status, connection.reader.headers) if connection else (0, {})
        outcome = _status_kind(status, stream) if kind == OK else kind
        times = (request.due - self._t0, (request.sent - request.due) * 1000, (now - request.due) * 1000)
        instance, tries = _who_served(headers, self.config)
        release, request_id = headers.get("x-balbook-release", ""), self.config.request_id(request.index)
        self._recorder.put(Sample(request.index, stream.name, *times, outcome, status, instance, tries, release, request_id))

    def _expire(self, now: float) -> None:
        """Deadlines stand in the order of sending, so only the first ones are looked at."""
        while self._in_flight and self._in_flight[0].deadline <= now:
            request = self._in_flight.popleft()
            if connection := request.connection:
                self._finish(connection, request, "timeout" if connection.is_connected else "connect_timeout")

    def _watch(self, connection: Connection) -> None:
        events = connection.wanted_events
        if not connection.events:
            self._selector.register(connection.socket, events, connection)
        elif connection.events != events:
            self._selector.modify(connection.socket, events, connection)
        connection.events = events

    def _close(self, connection: Connection) -> None:
        if connection.events:
            self._selector.unregister(connection.socket)
            connection.events = 0
        connection.close()

    def _summarize(self, stopped_s: float) -> None:
        out_dir, recorder = Path(self.config.out_dir), self._recorder
        facts = ProcessFacts(
            started_unix_s=round(recorder.started_unix_s, 3),
            seconds=round(stopped_s, 3),
            due=max(self.next_index, int(min(stopped_s, self.config.max_seconds) * self.config.rate)),
            reconnects=recorder.progress.reconnects,
            clock_jump_s=round(recorder.clock_jump_s, 3),
            ended_by=self._control.why_stopped,
        )
        findings = judge(read_samples(out_dir), read_marks(out_dir), self.config, facts)
        write_json(out_dir / SUMMARY, {"findings": findings.data(), "histogram": recorder.histogram.encode().decode()})


def _head(config: ProbeConfig, stream: Stream) -> bytes:
    """The part that all requests of a stream share."""
    host = config.host_header or (f"[{config.host}]" if ":" in config.host else config.host)
    if not config.host_header and config.port != 80:
        host = f"{host}:{config.port}"
    kept = "keep-alive" if stream.is_keepalive else "close"
    lines = [f"{stream.method} {stream.path} HTTP/1.1", f"Host: {host}", "User-Agent: balbook-probe", "X-Balbook-Probe: 1"]
    lines += [f"Connection: {kept}", *(["Content-Type: application/json"] if stream.body else [])]
    return "".join(f"{line}\r\n" for line in lines).encode("ascii")


def _status_kind(status: int, stream: Stream) -> str:
    if status == stream.expect or (stream.expect is None and 200 <= status < 300):
        return OK
    return "status_5xx" if status >= 500 else "status_other"


def _who_served(headers: Mapping[str, str], config: ProbeConfig) -> tuple[str, int]:
    """The instance that answered last, and the number that the balancer asked.

    NGINX's `$upstream_addr` separates tries by a comma and internal redirects by a colon between spaces.
    """
    if upstream := headers.get("x-balbook-upstream"):
        tried = upstream.replace(" : ", ", ").split(", ")
        return config.instances.get(tried[-1], tried[-1]), len(tried)
    return headers.get("x-balbook-instance", ""), 0
