"""Models of the change of an application: hooks, the rollout, the probe that measures it, the notification; and registries."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from balbook.inventory.words import PROBE_PATH, CommandLine, Line, LocalPath, SecretReference, WebAddress


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, regex_engine="python-re")


class Hooks(Model):
    """Commands around the change of an instance, run on its host one after the other.

    Each element is a whole command line: balbook splits it into words as a shell does, and runs it without a shell.
    """

    before_rollout: list[CommandLine] = []
    """Once per rollout, on the first instance's host, before anything changes: such as database migrations."""
    before_drain: list[CommandLine] = []
    """Before an instance leaves the balancer."""
    after_ready: list[CommandLine] = []
    """After an instance is healthy, before it is readmitted."""


class ProbeRequest(Model):
    """One kind of request that the probe sends during a rollout."""

    method: Literal["GET", "POST"] = "GET"
    """HTTP method of the request."""
    path: Annotated[str, StringConstraints(pattern=PROBE_PATH)]
    """Path and query of the request."""
    body: Line = ""
    """JSON body of a POST. `{id}` becomes the request's own id."""
    has_logged_id: bool = False
    """True where the application logs the id (header `X-Request-Id`) of each POST that it executes."""


class Probe(Model):
    """The load that measures a rollout."""

    rate: Annotated[int, Field(ge=1, le=5000)] = 50
    """Requests per second, over all streams."""
    timeout_s: Annotated[float, Field(gt=0, le=600)] = 10
    """How long the probe waits for an answer."""
    requests: list[ProbeRequest] = []
    """Kinds of requests; empty: GET of the health path."""
    baseline_s: Annotated[float, Field(ge=0.5, le=600)] = 2
    """How long the probe measures before anything changes, and again afterwards."""
    max_failed: Annotated[int, Field(ge=0)] = 0
    """Most failed requests of a rollout."""


class Rollout(Model):
    """How a new release comes into service."""

    canary: bool = False
    """The first instance alone and for `soak_s`, then the rest."""
    soak_s: Annotated[float, Field(ge=0, le=86400)] = 10
    """How long the canary serves before the rest follows."""
    warm_up_requests: Annotated[int, Field(ge=0, le=10000)] = 0
    """Requests that a new instance answers before it is readmitted."""
    min_healthy_s: Annotated[float, Field(ge=0, le=3600)] = 0
    """How long a new instance must be healthy before it is readmitted."""
    deadline_s: Annotated[float, Field(gt=0, le=86400)] = 3600
    """Longest time of the whole rollout; a rollout that is not done by then has failed."""
    max_p99_ratio: Annotated[float, Field(ge=1, le=1000)] | None = None
    """Largest ratio of the p99 during the rollout to the p99 before (25 ms are always allowed); unset: no limit.

    The comparison takes 1,000 requests: a rollout that ends before is inconclusive; a higher `rate` of the probe helps.
    """
    on_failure: Literal["rollback", "pause"] = "rollback"
    """After a failure: `rollback` takes all changed instances back, `pause` leaves the finished ones as they are and stops."""


class Notify(Model):
    """Receivers of one line of JSON when a run begins, pauses and ends."""

    webhook: WebAddress | None = None
    """Address that gets the line by POST."""
    token: SecretReference | None = None
    """Reference to a bearer token for the webhook; never the token."""
    command: list[Line] = []
    """Command on this machine that gets the line on standard input."""


class HttpCheck(Model):
    """A GET that the runbook `verify` sends to each instance, on its host."""

    path: Annotated[str, StringConstraints(pattern=PROBE_PATH)]
    """Path and query of the request."""
    expect: Annotated[int, Field(ge=100, le=599)] = 200
    """HTTP status of the answer."""
    contains: Line = ""
    """Text that the answer must contain; `{version}` becomes the expected version, up to its `+`."""


class Verification(Model):
    """Checks of a running application by the runbook `verify`, beside its health."""

    requests: list[HttpCheck] = []
    """Requests to each instance; the health check always comes first."""
    allowed_errors: list[Line] = []
    """Texts of harmless lines of the log, which are not counted as errors."""


class Central(Model):
    """Ballerina Central."""

    token: SecretReference | None = None
    """Reference to the access token: `env:NAME` or `file:PATH`; never the token."""
    url: WebAddress | None = None
    """Registry other than Ballerina's own."""


class Registry(Model):
    """The place where a team shares its artifacts."""

    url: LocalPath
    """A directory, `file:///…`, `s3://bucket/prefix`, `sftp://user@host/path`, or `https://…` of a raw repository."""
    credentials: SecretReference | None = None
    """Reference to `user:password` for HTTP; the other kinds have credentials of their own."""
    central: bool = False
    """True: the package of an application with a `source` is pushed to Ballerina Central as well."""
