"""Certificates on a host."""

from __future__ import annotations

from balbook.command import Command, script
from balbook.commands import host_script


def certificate_end(path: str) -> Command:
    """Prints when the (first) certificate of a PEM file ends; parsed by `facts.certificates`."""
    return script("certificate-end", host_script("certificate_end"), path, is_privileged=True)
