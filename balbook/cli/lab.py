"""`lab up|down|status|fault`: starts, removes, shows and breaks a disposable fleet."""

from __future__ import annotations

import argparse
import os
import sys

from balbook.cli import common
from balbook.errors import BadInput
from balbook.lab import faults, fleet, loopback, vm, vm_faults
from balbook.local.lab_place import lab_folder, read_state
from balbook.show.table import Table

BACKENDS = {"loopback": loopback, "vm": vm}
EXAMPLE = "balbook lab up && balbook lab status && balbook lab fault app1 kill && balbook lab down"
ARGUMENTS = (
    common.argument("action", choices=("up", "down", "status", "fault")),
    common.argument("target", nargs="?", metavar="HOST[:PORT]", help="of fault: the host or instance"),
    common.argument(
        "fault",
        nargs="?",
        metavar="FAULT",
        help="loopback: kill, hang, resume an instance; vm: blackhole, reject, loss, delay, none for a host (but its SSH) or a port",
    ),
    common.argument("--name", default="default", help="name of the lab; several labs can exist at once (default: default)"),
    common.argument(
        "--backend",
        choices=tuple(BACKENDS),
        help="loopback (default of up) needs no root; vm: Debian VMs (Linux, root); else the lab's own",
    ),
    common.argument("--hosts", type=int, metavar="N", help="of up: the number of VMs (default 4)"),
    common.argument("--from", dest="source", default="", metavar="HOST", help="of fault, vm: only for this host, or for `controller`"),
    common.argument(
        "--odd",
        action="append",
        default=[],
        metavar="HOST:KIND",
        help="of up --backend vm, repeatable: a host unlike others, KIND banner, clock, host-key, jump, locale, noexec, "
        "port, shell or small-home",
    ),
    common.JSON,
)


def run(args: argparse.Namespace) -> int:
    """Starts or removes the lab, breaks something in it, or shows its state."""
    if args.action != "fault" and args.target:
        raise BadInput(f"lab {args.action} takes no {args.target!r}", advice=f"For another lab's name: --name {args.target}.")
    backend = args.backend or _backend_of(args.name)
    if args.action != "up" or backend != "vm":
        for option, is_given, advice in (
            ("--hosts", args.hosts is not None, "A loopback lab always has four hosts."),
            ("--odd", args.odd, "All hosts of a loopback lab are this machine."),
        ):
            if is_given:
                raise BadInput(f"{option} is for `lab up --backend vm`", advice=advice)
    return {"up": _up, "down": _down, "status": _status, "fault": _fault}[args.action](args, backend)


def _backend_of(name: str) -> str:
    """The backend of the lab of this name, also after an interrupted start; loopback where no lab exists."""
    folder = lab_folder(name, os.environ)
    state = read_state(folder)
    if state is not None and state.backend in BACKENDS:
        return state.backend
    is_vm = sys.platform.startswith("linux") and any(not left.startswith("folder ") for left in vm.left_of(folder))
    return "vm" if is_vm else "loopback"


def _up(args: argparse.Namespace, backend: str) -> int:
    if backend == "vm":
        hosts = fleet.HOSTS if args.hosts is None else fleet.machines(args.hosts)
        inventory = vm.up(args.name, hosts, odd=args.odd, say=common.say).inventory
    else:
        inventory = loopback.up(args.name, say=common.say).inventory
    print(f"inventory: {inventory}")
    return 0


def _down(args: argparse.Namespace, backend: str) -> int:
    existed = BACKENDS[backend].down(args.name, say=common.say)
    print(f"lab {args.name}: {'down' if existed else 'was not there'}")
    return 0


def _status(args: argparse.Namespace, backend: str) -> int:
    found = BACKENDS[backend].status(args.name)
    shown = (*found.hosts, *found.instances, *found.balancers, *found.registries)
    rows = [(e.name, e.kind, e.address, e.port, e.pid or "-") for e in shown]
    note = "an interrupted start, or a reboot, left these over; `balbook lab down` removes them" if found.is_left_over else ""
    title = f"lab {args.name} ({backend})"
    common.show(args, found.data(), Table(("name", "kind", "address", "port", "pid"), rows, title=title, note=note))
    return 0


def _fault(args: argparse.Namespace, backend: str) -> int:
    if not args.target or not args.fault:
        raise BadInput("lab fault needs a host and a fault", advice="For example: balbook lab fault app1 kill")
    if backend == "vm":
        print(vm_faults.inject(args.fault, args.target, args.name, source=args.source))
        return 0
    if args.source:
        raise BadInput("--from is for labs of VMs", advice="Leave --from out: a loopback lab has no network between hosts.")
    process = faults.inject(args.fault, args.target, args.name)
    print(f"{args.target}: {args.fault}, process {process.pid}")
    return 0
