"""Certificates on a host."""

from __future__ import annotations

from balbook.commands import host_script
from balbook.commands.command import Command, script


def certificate_end(path: str) -> Command:
    """Prints when the (first) certificate of a PEM file ends; parsed by `facts.certificates`."""
    return script("certificate-end", host_script("certificate_end"), path, is_privileged=True)
