"""The inventory's contents as typed models; `version: 1`.

Names become words of commands and parts of paths, so each is held to letters, digits and `. _ + -`. Relative paths are
relative to the inventory file (`Inventory.resolve`).
"""

# ruff: noqa: RUF012  # pydantic copies the mutable defaults of a model
from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PrivateAttr, StrictBool, StrictInt, model_validator

from balbook.inventory.balancers import Balancer
from balbook.inventory.changing import Central, Hooks, HttpCheck, Model, Notify, Probe, ProbeRequest, Registry, Rollout, Verification
from balbook.inventory.secret_references import secret_references
from balbook.inventory.words import (
    AbsolutePath,
    Address,
    Line,
    LocalPath,
    Name,
    PackageName,
    Port,
    Scalar,
    SecretReference,
    UrlPath,
    VariableName,
)
from balbook.secrets.vault import Vault

__all__ = ["Balancer", "HttpCheck", "ProbeRequest", "Registry"]
VERSION = 1


class Host(Model):
    """A machine reached over SSH. `~/.ssh/config` gives the values that are left out here."""

    address: Address
    """DNS name, IP address, or a Host of `~/.ssh/config`."""
    port: Port | None = None
    """SSH port; unset: `~/.ssh/config`, else 22."""
    user: Name | None = None
    """Login; unset: `~/.ssh/config`, else the local user."""
    roles: list[Literal["build", "app", "balancer"]] = Field(min_length=1)
    """The purposes of the host."""
    become: Literal["", "sudo"] = ""
    """How privileged commands are run; empty: balbook runs none."""
    become_password: SecretReference | None = None
    """Reference to the password that sudo asks the login for; unset: sudo asks for no password."""
    drill: Literal["forbidden", "allowed"] = "forbidden"
    """`allowed`: `failover_drill` is allowed to inject faults on this host."""
    jump: Address | None = None
    """A host of this inventory, or an address, through which this host is reached."""
    identity: LocalPath | None = None
    """Private key file; unset: the agent's and `~/.ssh/config`'s."""
    known_hosts: LocalPath | None = None
    """File of host keys; unset: `~/.ssh/known_hosts`."""
    root: AbsolutePath = "/opt/balbook"
    """Directory of balbook's applications, releases and locks on this host."""
    supervisor: Literal["systemd", "process"] = "systemd"
    """The supervisor that keeps instances running; `process` needs no privilege."""
    os_packages: list[Name] = []
    """Packages of the operating system beside those of its applications, such as those that builds and their tests need."""


class Instance(Model):
    """One process of an application."""

    host: Name
    """A host of the inventory with the role `app`."""
    port: Port
    """The port that the instance listens on."""

    @property
    def name(self) -> str:
        return f"{self.host}:{self.port}"


class Health(Model):
    """The health check: it tells that an instance can serve."""

    path: UrlPath = "/health"
    """Path of the health check."""
    expect: Annotated[int, Field(ge=100, le=599)] = 200
    """HTTP status of a healthy instance."""
    within_s: Annotated[float, Field(gt=0, le=3600)] = 60
    """Longest time of a start, until the first healthy answer."""
    passes: Annotated[int, Field(ge=1, le=100)] = 2
    """Healthy answers in a row before an instance is readmitted."""


class Route(Model):
    """Settings of all paths that begin with the route's."""

    timeout_s: Annotated[float, Field(gt=0, le=86400)] = 60
    """How long the balancer waits for an answer."""


class Requirements(Model):
    """The resources that `provision` checks on each app host."""

    cpus: Annotated[int, Field(ge=1)] = 1
    """Processors."""
    memory_mb: Annotated[int, Field(ge=1)] = 512
    """Memory of the host, in MB."""
    disk_mb: Annotated[int, Field(ge=1)] = 1024
    """Free space below the host's root, in MB."""
    java: Annotated[int, Field(ge=8)] | None = None
    """Major version of the Java runtime; unset: the one that the artifact needs."""
    os_packages: list[Name] = []
    """Packages of the operating system: database drivers, libraries."""


class System(Model):
    """Limits of an instance's process."""

    nofile: Annotated[int, Field(ge=256)] = 8192
    """Open files and sockets."""
    memory_mb: Annotated[int, Field(ge=32)] | None = None
    """Memory limit, in MB, where systemd keeps the instances; unset: no limit."""


class ConfigFile(Model):
    """A `Config.toml` template of the user's own; balbook adds the listener's tables."""

    file: LocalPath
    """The template, relative to the inventory. A secret stands in it as `"${secret:env:NAME}"`."""


class Application(Model):
    """An application that is deployed."""

    packages: list[PackageName] = []
    """Ballerina packages (`org/name`) that the application consists of."""
    source: Line = ""
    """For an application of one package: the package's directory, or `git+URL@ref`. Empty: the packages are consolidated."""
    artifact: Literal["jar", "native"] = "jar"
    """The executable that is built."""
    balancer: Name | None = None
    """A balancer of the inventory; unset: clients reach the instances without a balancer."""
    strategy: Literal["active_active", "active_active_checked", "active_passive"] = "active_active"
    """`active_active`: all instances serve. `active_active_checked`: the same, with active health checks. `active_passive`: one instance
    serves, the others stand by."""
    instances: list[Instance] = Field(min_length=1)
    """The application's processes, in the order in which a rollout changes them."""
    health: Health = Health()
    """The health check of each instance."""
    routes: dict[UrlPath, Route] = {"/": Route()}
    """Settings for paths by their beginning."""
    environment: dict[VariableName, Scalar] = {}
    """Environment variables of the instances. No secrets."""
    config: ConfigFile | None = None
    """A `Config.toml` template of your own; unset: balbook's."""
    hooks: Hooks = Hooks()
    """Commands around the change of an instance."""
    rollout: Rollout = Rollout()
    """How a new release comes into service."""
    probe: Probe = Probe()
    """The load that measures a rollout."""
    verify: Verification = Verification()
    """Further checks of the runbook `verify`."""
    requires: Requirements = Requirements()
    """Resources that each host must have."""
    system: System = System()
    """Limits of each process."""
    account: Name | None = None
    """Service account; unset: the application's name where there is privilege, else the login."""
    java_options: list[Line] = []
    """Options of the Java runtime, one an element."""
    graceful_stop_s: Annotated[float, Field(ge=0, le=3600)] = 2
    """`gracefulStopTimeout` of Ballerina's listener: how long a stopping instance finishes requests."""
    drain: Literal["reload", "graceful_stop"] | None = None
    """How an instance leaves an NGINX. `reload` (unset): requests in flight finish, however long they take. `graceful_stop`: no
    reload, so no kept-alive connection is closed, but a request that takes longer than `graceful_stop_s` is cut off."""
    capacity_floor: Annotated[int, Field(ge=0)] | None = None
    """Instances that must serve at any time; unset: all but one, at least one. A single instance without a
    balancer is allowed to restart."""
    keep_releases: Annotated[int, Field(ge=2)] = 5
    """Releases kept on each host."""
    approvals: Annotated[int, Field(ge=0, le=10)] = 0
    """How many people other than the applier must sign a plan before it is applied, once. `balbook rollback`, `drain` and `readmit`
    are emergency acts: they need no approval but a reason, and their records say `not_approved`."""

    @property
    def floor(self) -> int:
        """Instances that must serve at any time."""
        if self.capacity_floor is not None:
            return self.capacity_floor
        return 0 if self.is_restarted else max(1, len(self.instances) - 1)

    @property
    def is_restarted(self) -> bool:
        """True where the application is away while it changes: it has one instance, and no balancer."""
        return self.balancer is None and len(self.instances) == 1


class Anchor(Model):
    """A place for the ledger's head after every seal, out of reach of everybody who can edit the ledger."""

    kind: Literal["git_tag", "command"]
    """`git_tag`: a signed tag in the records' repository. `command`: a command of your own."""
    remote: Name | None = None
    """`git_tag`: the remote that tags are pushed to; unset: `origin` where there is one."""
    command: list[Line] = []
    """`command`: gets the head, one line of JSON, on standard input."""
    read: list[Line] = []
    """`command`: prints the anchored heads, one a line; unset: you give the heads to `records verify`."""

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> Anchor:
        if (self.kind == "command") != bool(self.command):
            raise ValueError("`command` belongs to the kind `command`, which needs it; `git_tag` takes none")
        return self


class Records(Model):
    """The folder of records, their signer and their ledger."""

    path: LocalPath = "records"
    """Directory, relative to the inventory."""
    sign_with: LocalPath | None = None
    """Private SSH key, a public key whose private half the agent holds, or a certificate (`…-cert.pub`)."""
    ledger: Line | None = None
    """Directory, or `s3://bucket/prefix`; unset: `ledger` below `path`."""
    allowed_signers: LocalPath | None = None
    """OpenSSH's file of allowed signers; unset: `allowed_signers` beside the inventory."""
    revoked_keys: LocalPath | None = None
    """Keys whose signatures no longer count: public keys, one a line, or a KRL of `ssh-keygen -k`."""
    anchor: Anchor | None = None
    """Place of the ledger's head; unset: the head is not kept, and `records verify` cannot vouch for the ledger's end."""


PRODUCTION = ("production", "prod")


class Inventory(Model):
    """Hosts, applications, balancers, stores, and the place of records."""

    version: Literal[1] = 1
    """Version of this format."""
    environment: Name = "staging"
    """Purpose of the fleet; `production` (or `prod`, in capitals too) has stricter rules."""
    hosts: dict[Name, Host] = Field(min_length=1)
    """Machines by name."""
    applications: dict[Name, Application] = {}
    """Applications by name."""
    balancers: dict[Name, Balancer] = {}
    """Balancers by name."""
    central: Central = Central()
    """Ballerina Central, or a registry like it."""
    artifacts: LocalPath = "artifacts"
    """Artifact store: a directory or `file:///…`."""
    registry: Registry | None = None
    """Registry that artifacts are published to and retrieved from; unset: no registry."""
    records: Records = Records()
    """Place and signer of the records."""
    notify: Notify = Notify()
    """Receivers of a message when a run begins, pauses and ends."""
    metrics_textfile: LocalPath | None = None
    """File for Prometheus's textfile collector (`….prom`) with the results of the last runs; unset: no file."""
    defaults: dict[str, dict[VariableName, Line | StrictInt | StrictBool | list[Line]]] = {}
    """Values for parameters that are not given: by runbook (`*`: all) or pipeline, then by parameter."""
    lab: bool = False
    """Set in a lab's own inventory; every record says so."""

    _path: Path = PrivateAttr(default=Path("inventory.yaml"))

    @property
    def path(self) -> Path:
        """The inventory's file, absolute."""
        return self._path

    @cached_property
    def secrets(self) -> Vault:
        """The values of the references in the inventory and its templates; each is read once, when it is first needed."""
        return Vault(secret_references(self), self._path.parent)

    @property
    def is_production(self) -> bool:
        """True for the fleet that people depend on."""
        return self.environment.lower() in PRODUCTION

    def resolve(self, path: str) -> Path:
        """`path` with `~` expanded, relative to the inventory file, `file://` taken off."""
        return (self._path.parent / Path(re.sub(r"^file://", "", path)).expanduser()).resolve()
