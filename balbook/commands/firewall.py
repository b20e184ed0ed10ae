"""Openings in a host's own firewall (nftables), where one is active."""

from __future__ import annotations

from balbook.commands.command import Command, hosted


def is_open(ports: list[int]) -> Command:
    """Exit 0 where the firewall accepts connections to these TCP ports, now and after its next start, or none is active."""
    return hosted("firewall", "check", *ports, is_privileged=True)


def open_ports(ports: list[int]) -> Command:
    """Has the firewall accept connections to these TCP ports; its own rules and files stay as they are."""
    return hosted("firewall", "open", *ports, is_privileged=True)
