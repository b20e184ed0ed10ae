"""The end of a certificate on a host."""

from __future__ import annotations

from calendar import timegm
from contextlib import suppress
from dataclasses import dataclass
from time import strptime

from balbook.commands.certificates import certificate_end
from balbook.facts import Fact

DAY_S = 86_400
FORM = "%b %d %H:%M:%S %Y GMT"
"""As `openssl x509 -enddate` writes it: `Nov 23 23:05:15 2027 GMT`."""


@dataclass(frozen=True)
class Certificate:
    """`ends`: in seconds since 1970, None where that is unknown; `problem` says why."""

    ends: int | None = None
    problem: str = ""

    def days_left(self, now_s: float) -> float | None:
        """Negative once it has ended."""
        return None if self.ends is None else (self.ends - now_s) / DAY_S


def certificate(path: str) -> Fact[Certificate]:
    """The fact of a PEM file's first certificate."""
    return Fact(certificate_end(path), parse_certificate)


def parse_certificate(output: str) -> Certificate:
    """Reads the line of `certificate-end`."""
    word, _, said = output.strip().partition(" ")
    if word == "ends":
        with suppress(ValueError):
            return Certificate(timegm(strptime(" ".join(said.split()), FORM)))
    return Certificate(problem=said if word == "problem" else f"openssl said {said or word or 'nothing'!r}")
