"""Balancers in the inventory, and the traits of each kind of balancer. A new kind begins with its row in `KINDS`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from balbook.inventory.changing import Model
from balbook.inventory.words import AbsolutePath, Address, Name, Port

Kind = Literal["nginx", "nginx_plus", "haproxy"]


@dataclass(frozen=True)
class Traits:
    """The traits of a kind. Its `template` stands in `templates/balancer/`; the commands that change it belong to its `program`."""

    program: str
    """File name of the program; for a packaged one also the name of the package and the service."""
    template: str
    """Template of the file that carries an application."""
    is_one_file: bool = False
    """One file carries all applications; else each application has its own file."""
    is_packaged: bool = True
    """Distributions have a package of the program."""
    has_active_checks: bool = False
    """The program checks the health of instances by itself."""
    has_ordered_backups: bool = False
    """Of several backups the program takes the first that is available; else it spreads requests over all of them."""
    has_key_anywhere: bool = True
    """The program reads a certificate's key from any file; else from the certificate's own file, or that file's name and `.key`."""


KINDS: dict[Kind, Traits] = {
    "nginx": Traits("nginx", "nginx_app.conf.j2"),
    "nginx_plus": Traits("nginx", "nginx_plus_app.conf.j2", is_packaged=False, has_active_checks=True),
    "haproxy": Traits(
        "haproxy", "haproxy.cfg.j2", is_one_file=True, has_active_checks=True, has_ordered_backups=True, has_key_anywhere=False
    ),
}


class Tls(Model):
    """A TLS listener; the files are on the balancer's host."""

    certificate: AbsolutePath
    """Certificate chain, PEM."""
    key: AbsolutePath
    """Private key, PEM."""
    listen: Port = 443
    """Port for HTTPS."""


class Balancer(Model):
    """The balancer in front of the instances."""

    host: Name
    """A host of the inventory with the role `balancer`."""
    kind: Kind = "nginx"
    """The program."""
    listen: Port = 80
    """Port for clients."""
    address: Address | None = None
    """Address for clients (and the probe); unset: the host's address."""
    method: Literal["least_conn", "round_robin", "ip_hash"] = "least_conn"
    """How an instance is chosen."""
    configuration: Literal["include", "own"] = "include"
    """`include`: one file beside the distribution's configuration; `own`: an instance of balbook's own."""
    directory: AbsolutePath | None = None
    """Directory of the file; unset: `/etc/nginx/conf.d`, `/etc/haproxy`; for `own` below the host's root."""
    worker_user: Name = "www-data"
    """Account of the workers of an NGINX of balbook's own that is started as root."""
    generation_port: Port = 8099
    """Port on 127.0.0.1 of the balancer's host that says which configuration is in force."""
    max_fails: Annotated[int, Field(ge=1)] = 3
    """Failures within `fail_timeout_s` after which an instance is left out."""
    fail_timeout_s: Annotated[int, Field(ge=1)] = 10
    """How long failures count, and how long an instance is left out."""
    tls: Tls | None = None
    """A TLS listener beside the plain one."""

    @property
    def traits(self) -> Traits:
        """The traits of its kind."""
        return KINDS[self.kind]
