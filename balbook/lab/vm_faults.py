"""Network faults for hosts of the lab of VMs, injected in the host's own network namespace from outside of the host."""

from __future__ import annotations

import os
from collections.abc import Mapping

from balbook.errors import Failed, ParameterError, Refused, nearest
from balbook.lab import vm, vm_network
from balbook.local.lab_place import DEFAULT_NAME

FAULTS = ("blackhole", "reject", "loss", "delay", "none")
SSH = 22
CONTROLLER = "controller"
LOSS_PERCENT = 20
DELAY_MS = 200
TABLE = "inet balbook_lab_fault"


def inject(fault: str, target: str, name: str = DEFAULT_NAME, *, source: str = "", environ: Mapping[str, str] = os.environ) -> str:
    """Injects a fault into `target`, in place of an earlier one; a sentence about it. `none` removes the fault.

    `target`: `HOST`, for all ports but SSH (the controller reaches the host, but clients do not reach its services), or `HOST:PORT`
    (with 22: the controller is cut off, clients are not). `source`: a host, or `controller` for this machine; other hosts notice nothing;
    not for `delay`. `blackhole`: packets vanish both ways. `reject`: connections are refused.
    `loss`: a fifth of all packets vanishes. `delay`: 200 ms on all that the host sends, SSH too, where the kernel has netem.
    Raises ParameterError for an unknown fault, host or source, Refused where the kernel has no netem.
    """
    if fault not in FAULTS:
        raise ParameterError(f"{fault!r} is not a known network fault", advice=nearest(fault, FAULTS))
    lab = vm.lab_of(name, environ=environ)
    host, _, port = target.partition(":")
    if host not in lab.machines:
        raise ParameterError(f"lab {name} has no host {host!r}", advice=nearest(host, lab.machines))
    if source and fault == "delay":
        raise ParameterError(f"a delay cannot be limited to packets from {source!r}", advice="Leave --from out.")
    if source not in ("", CONTROLLER, *lab.machines):
        raise ParameterError(f"--from {source!r} is not a host of lab {name}", advice=nearest(source, (CONTROLLER, *lab.machines)))
    if port and not (port.isdigit() and 0 < int(port) < 65536):
        raise ParameterError(f"{port!r} is not a valid port", advice=f"Write {host}, or {host}:9090.")
    if port and fault == "delay":
        raise ParameterError(
            f"a delay cannot be limited to one port: {target}", advice=f"Write {host}: then all packets that the host sends are delayed."
        )
    space, own = lab.machines[host].word, lab.machines[host].port
    _take_away(space)
    if fault == "delay":
        _delay(space)
    elif fault != "none":
        text = rules(fault, int(port) if port else None, _address(lab, source), own)
        vm_network.run(["ip", "netns", "exec", space, "nft", "-f", "-"], text)
    return f"{target}: {fault}" + (f" from {source}" if source else "")


def rules(fault: str, port: int | None, source: str = "", ssh: int = SSH) -> str:
    """The rules for nftables. `port`: None for every port but `ssh`, the SSH port; `source`: an address, empty for all."""
    verdict = {"blackhole": "drop", "loss": f"numgen random mod 100 < {LOSS_PERCENT} drop", "reject": "reject with tcp reset"}[fault]
    lines = []
    for hook, side, interface, end in (("input", "dport", "iifname", "saddr"), ("output", "sport", "oifname", "daddr")):
        match = (
            f'{interface} "host0" {f"ip {end} {source} " if source else ""}meta l4proto tcp th {side} {f"{port}" if port else f"!= {ssh}"}'
        )
        rule = f"{match} {verdict}" if hook == "input" or fault != "reject" else ""
        lines.append(f"chain {hook} {{ type filter hook {hook} priority -300; policy accept; {rule}; }}".replace("; ;", ";"))
    return f"table {TABLE} {{\n" + "\n".join(lines) + "\n}\n"


def _address(lab: vm.Lab, source: str) -> str:
    if source == CONTROLLER:
        return str(vm_network.network_of(lab.addresses)[1])
    return lab.addresses.get(source, "")


def _take_away(space: str) -> None:
    # nft adds a table that exists without an error, but deletes only one that exists.
    vm_network.run(["ip", "netns", "exec", space, "nft", "-f", "-"], f"add table {TABLE}\ndelete table {TABLE}\n")
    if "netem" in vm_network.run(["tc", "-n", space, "qdisc", "show", "dev", "host0"]):
        vm_network.run(["tc", "-n", space, "qdisc", "delete", "dev", "host0", "root"])


def _delay(space: str) -> None:
    try:
        vm_network.run(["tc", "-n", space, "qdisc", "add", "dev", "host0", "root", "netem", "delay", f"{DELAY_MS}ms"])
    except Failed as exc:
        advice = "Load the module (`modprobe sch_netem`), or use the fault `loss`."
        raise Refused(f"this kernel cannot delay packets: {exc.message}", advice=advice) from exc
