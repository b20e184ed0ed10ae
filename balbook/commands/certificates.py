"""Certificates on a host."""

from __future__ import annotations

from balbook.commands.command import Command, hosted


def certificate_end(path: str) -> Command:
    """Prints the time when the first certificate of a PEM file ends; parsed by `facts.certificates`."""
    return hosted("certificate-end", path, is_privileged=True)
