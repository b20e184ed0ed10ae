"""Openings in a host's own firewall (nftables), where one is active."""

from __future__ import annotations

from balbook.commands import host_script
from balbook.commands.command import Command, script


def is_open(ports: list[int]) -> Command:
    """Exit 0 where the firewall accepts connections to these TCP ports, now and after its next start, or none is active."""
    return script("firewall", host_script("firewall"), "check", *ports, is_privileged=True)


def open_ports(ports: list[int]) -> Command:
    """The firewall accepts them; its own rules and files stay as they are."""
    return script("firewall", host_script("firewall"), "open", *ports, is_privileged=True)
