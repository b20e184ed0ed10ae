"""`lab up|down|status|fault`."""

from __future__ import annotations

import argparse
import os
import sys

from balbook.cli import common
from balbook.errors import BadInput
from balbook.show.table import Table

BACKENDS = ("loopback", "vm")


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of `lab`."""
    parser.epilog = "example: balbook lab up && balbook lab status && balbook lab fault app1 kill && balbook lab down"
    parser.add_argument("action", choices=("up", "down", "status", "fault"))
    parser.add_argument("target", nargs="?", metavar="HOST[:PORT]", help="of fault: where")
    parser.add_argument(
        "fault",
        nargs="?",
        metavar="FAULT",
        help="loopback: kill, hang, resume an instance; vm: blackhole, reject, loss, delay, none for a host (but its SSH) or a port",
    )
    parser.add_argument("--name", default="default", help="several labs can exist at once (default: default)")
    parser.add_argument(
        "--backend", choices=BACKENDS, help="loopback (default of up) needs no root; vm: Debian VMs (Linux, root); else what the lab is"
    )
    parser.add_argument("--hosts", type=int, metavar="N", help="of up: how many VMs (default 4)")
    parser.add_argument("--from", dest="source", default="", metavar="HOST", help="of fault, vm: for this host alone, or `controller`")
    parser.add_argument(
        "--odd",
        action="append",
        default=[],
        metavar="HOST:KIND",
        help="of up --backend vm, repeatable: a host unlike others, KIND banner, clock, host-key, jump, locale, noexec, "
        "port, shell or small-home",
    )
    common.add_json(parser)
    parser.set_defaults(run=lab)


def lab(args: argparse.Namespace) -> int:
    """Brings the lab up or down, breaks something in it, or says what there is of it."""
    if args.action != "fault" and args.target:
        raise BadInput(f"lab {args.action} takes no {args.target!r}", advice=f"Another lab's name: --name {args.target}.")
    backend = args.backend or _backend_of(args.name)
    if args.hosts is not None and (args.action != "up" or backend != "vm"):
        raise BadInput("--hosts is for `lab up --backend vm`", advice="A loopback lab has four hosts.")
    if args.odd and (args.action != "up" or backend != "vm"):
        raise BadInput("--odd is for `lab up --backend vm`", advice="The hosts of a loopback lab are all this machine.")
    return {"up": _up, "down": _down, "status": _status, "fault": _fault}[args.action](args, backend)


def _backend_of(name: str) -> str:
    """What the lab of this name is, also one that an interrupted start left; loopback where there is none."""
    from balbook.local.lab_place import lab_folder, read_state

    folder = lab_folder(name, os.environ)
    state = read_state(folder)
    if state is not None and state.backend in BACKENDS:
        return state.backend
    if sys.platform.startswith("linux"):
        from balbook.lab import vm

        if [what for what in vm.left_of(folder) if not what.startswith("folder ")]:
            return "vm"
    return "loopback"


def _up(args: argparse.Namespace, backend: str) -> int:
    from balbook.lab import fleet, loopback, vm

    if backend == "vm":
        found: vm.Lab | loopback.Lab = vm.up(
            args.name, fleet.HOSTS if args.hosts is None else fleet.machines(args.hosts), odd=args.odd, say=common.say
        )
    else:
        found = loopback.up(args.name, say=common.say)
    print(f"inventory: {found.inventory}")
    return 0


def _down(args: argparse.Namespace, backend: str) -> int:
    from balbook.lab import loopback, vm

    was_there = (vm.down if backend == "vm" else loopback.down)(args.name, say=common.say)
    print(f"lab {args.name}: {'down' if was_there else 'was not there'}")
    return 0


def _status(args: argparse.Namespace, backend: str) -> int:
    from balbook.lab import loopback, vm

    found = (vm.status if backend == "vm" else loopback.status)(args.name)
    if args.json:
        common.print_json(found.data())
        return 0
    rows = [
        (e.name, e.kind, e.address, e.port, e.pid or "-") for e in (*found.hosts, *found.instances, *found.balancers, *found.registries)
    ]
    note = "left over by a start that was interrupted, or by a reboot: `balbook lab down` removes it" if found.is_left_over else ""
    print(Table(("name", "kind", "address", "port", "pid"), rows, title=f"lab {args.name} ({backend})", note=note))
    return 0


def _fault(args: argparse.Namespace, backend: str) -> int:
    if not args.target or not args.fault:
        raise BadInput("lab fault needs a host and a fault", advice="For example: balbook lab fault app1 kill")
    if backend == "vm":
        from balbook.lab import vm_faults

        print(vm_faults.inject(args.fault, args.target, args.name, source=args.source))
        return 0
    if args.source:
        raise BadInput("--from is for labs of VMs", advice="A loopback lab has no network to lose.")
    from balbook.lab import faults

    process = faults.inject(args.fault, args.target, args.name)
    print(f"{args.target}: {args.fault}, process {process.pid}")
    return 0
