"""The probe's requests, their target, rate and duration; plain data that crosses to the probe's own process.

The host part of a request's address and the TCP address may differ: `connect_to` is where the connection goes,
`host_header` what the request says. Plain HTTP only.
"""

from __future__ import annotations

import dataclasses
import random
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from balbook.errors import BadInput

if TYPE_CHECKING:
    from balbook.inventory.models import ProbeRequest

VERSION = 1
MAX_RATE = 5000


@dataclass(frozen=True)
class Stream:
    """One kind of request over one kind of connection; `share` is its weight among the streams.

    `{id}` in `body` becomes the request's own id. `expect` is the one HTTP status that counts as acknowledged; unset:
    any 2xx. `has_logged_id`: the application logs the ids that it executed.
    """

    method: str = "GET"
    path: str = "/"
    body: str = ""
    is_keepalive: bool = False
    has_logged_id: bool = False
    share: float = 1.0
    expect: int | None = None

    @property
    def name(self) -> str:
        """`GET /health fresh` or `GET /health keep-alive`."""
        return f"{self.method} {self.path} {'keep-alive' if self.is_keepalive else 'fresh'}"


@dataclass(frozen=True)
class ProbeConfig:
    """One run of the probe.

    `instances` translates the address that the balancer names (`127.0.0.1:9090`) into the instance's name
    (`app1:9090`). `must_reach` names the instances that every stream has to reach for the figures to be trusted;
    unset: all of `instances`. `rate` is in requests per second over all streams.
    """

    host: str
    port: int
    out_dir: str
    streams: tuple[Stream, ...]
    rate: float = 50
    timeout_s: float = 10
    host_header: str = ""
    connect_to: str = ""
    seed: int = 1
    run_id: str = "probe"
    instances: Mapping[str, str] = field(default_factory=dict)
    must_reach: tuple[str, ...] | None = None
    max_seconds: float = 3600
    pool_size: int = 4

    def __post_init__(self) -> None:
        """Raises BadInput for a value that the probe cannot use."""
        _require(0 < self.rate <= MAX_RATE, f"rate {self.rate}", f"Use more than 0 and at most {MAX_RATE} requests per second.")
        for name in ("timeout_s", "max_seconds", "pool_size"):
            _require(getattr(self, name) > 0, f"{name} {getattr(self, name)}", "Use a positive number.")
        _require(1 <= self.port <= 65535, f"port {self.port}", "Use a port from 1 to 65535.")
        _require(bool(self.streams), "streams ()", "Name at least one kind of request.")
        for value in (self.host, self.host_header, self.connect_to):
            _require(_is_word(value or "-"), f"host {value!r}", "Use a name or an address without spaces.")
        _require(_is_word(self.run_id), f"run_id {self.run_id!r}", "Use visible ASCII characters without spaces.")
        for stream in self.streams:
            _require(stream.method.isalpha() and stream.method.isupper(), f"method {stream.method!r}", "Use GET or POST.")
            _require(stream.path.startswith("/") and _is_word(stream.path), f"path {stream.path!r}", "Begin with / and escape spaces.")
            _require(stream.share > 0, f"share {stream.share} of {stream.name}", "Use a positive weight.")

    @property
    def expected_instances(self) -> tuple[str, ...]:
        """The instances that every stream has to reach."""
        return tuple(sorted(set(self.instances.values()))) if self.must_reach is None else self.must_reach

    def data(self) -> dict[str, Any]:
        """Plain data; the inverse of `config_from`."""
        return {"version": VERSION, **dataclasses.asdict(self), "instances": dict(self.instances)}

    def request_id(self, index: int) -> str:
        """The id of request `index`, unique within the run."""
        return f"{self.run_id}-{index}"


def config_from(data: Mapping[str, Any]) -> ProbeConfig:
    """The configuration that `ProbeConfig.data` wrote, also after a trip through JSON; a newer version is refused."""
    fields = dict(data)
    version = fields.pop("version", VERSION)
    if version > VERSION:
        raise BadInput(
            f"this probe configuration has version {version}, but this balbook knows only {VERSION}", advice="Install a newer balbook."
        )
    fields["streams"] = tuple(Stream(**stream) for stream in fields["streams"])
    if fields.get("must_reach") is not None:
        fields["must_reach"] = tuple(fields["must_reach"])
    return ProbeConfig(**fields)


def streams_from(requests: Iterable[ProbeRequest], health_path: str, *, health_expect: int = 200) -> tuple[Stream, ...]:
    """A fresh-connection and a keep-alive stream of equal share for each kind of request; without any kind: GET of the health path."""
    kinds = [Stream(r.method, r.path, r.body, has_logged_id=r.has_logged_id) for r in requests]
    kinds = kinds or [Stream("GET", health_path, expect=health_expect)]
    return tuple(dataclasses.replace(kind, is_keepalive=is_keepalive) for kind in kinds for is_keepalive in (False, True))


def schedule(config: ProbeConfig) -> Iterator[int]:
    """The index of the stream of request 0, 1, 2, …, without end; the same seed draws the same streams."""
    bounds = list(accumulate(stream.share for stream in config.streams))
    draw = random.Random(config.seed).random
    while True:
        yield min(bisect_right(bounds, draw() * bounds[-1]), len(bounds) - 1)


def _require(is_ok: bool, what: str, advice: str) -> None:
    if not is_ok:
        raise BadInput(f"the probe cannot use {what}", advice=advice)


def _is_word(value: str) -> bool:
    return bool(value) and all("!" <= c <= "~" for c in value)
