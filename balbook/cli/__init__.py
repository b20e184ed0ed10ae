"""The command line: a file a command, of its name, imported only when it is called; `common` is what they share.

Commands read words, call a room below and print. They decide nothing that a notebook would decide otherwise.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from traceback import format_exception
from typing import TYPE_CHECKING

from balbook import __version__
from balbook.errors import BalbookError, ExitStatus, nearest

if TYPE_CHECKING:
    from balbook.inventory import Inventory

COMMANDS = {
    "plan": "show what a runbook or pipeline would change; changes nothing",
    "apply": "run a runbook or pipeline",
    "resume": "go on with a run whose process died",
    "stop": "ask a run to end in a safe state",
    "status": "what runs where, and who holds the lock",
    "logs": "the last lines of an application's logs",
    "drain": "take one instance out of service, for maintenance",
    "readmit": "put a drained instance back into service",
    "rollback": "bring an application back to a release that was proven healthy",
    "unlock": "take an application's lock away from whoever holds it",
    "records": "list, show, compare, verify and export the records of runs",
    "seal": "seal what plain papermill or JupyterLab left",
    "approve": "sign a plan with your key, so that somebody else may apply it",
    "lab": "a disposable fleet for rehearsing",
    "init": "make a deployment repository",
    "jupyter": "JupyterLab on the runbooks, with an index of what is deployed",
    "new-runbook": "write a runbook of your own, with its procedure",
    "check": "hold runbooks against the anatomy of a runbook",
    "doctor": "what this machine and the hosts have and lack",
    "registry": "publish artifacts to a registry, and retrieve them from there",
    "report": "over all records: is it getting better?",
    "schedule": "runbooks and pipelines at set times, by systemd, cron or Airflow",
    "workflow": "write workflows for GitHub Actions",
    "schema": "the inventory's JSON Schema, for editors",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit status. An error of ours is a message and advice; a traceback means a defect of balbook's."""
    words = list(sys.argv[1:] if argv is None else argv)
    unwrapped = sys.stdout, sys.stderr  # the command may put something around them that hides secrets
    if "_ARGCOMPLETE" in os.environ:
        _complete(os.environ.get("COMP_LINE", ""))
    try:
        parser = _parser(words)
        args = parser.parse_args(words)
        status: int = args.run(args)
        sys.stdout.flush()
        return status
    except BalbookError as exc:
        print(f"balbook: {exc}", file=sys.stderr)
        return exc.exit_status
    except KeyboardInterrupt:
        print("balbook: interrupted", file=sys.stderr)
        return ExitStatus.FAILED
    except BrokenPipeError:
        unwrapped[1].close()
        return ExitStatus.FAILED
    except OSError as exc:
        what = f"{exc.filename}: {exc.strerror}" if exc.filename else str(exc)
        print(f"balbook: {what}\n  Is it there, is there space, and may you use it? Then try again.", file=sys.stderr)
        return ExitStatus.FAILED
    except Exception as exc:  # printed here, while what is around the streams hides secrets
        told = " ".join(f"{type(exc).__name__}: {exc}".split())
        print(f"defect in balbook: {told}\n{''.join(format_exception(exc))}", end="", file=sys.stderr)
        return ExitStatus.FAILED
    finally:
        with suppress(OSError, ValueError):
            sys.stderr.flush()
        sys.stdout, sys.stderr = unwrapped


class _Parser(argparse.ArgumentParser):
    """An argument parser that names the nearest command."""

    def error(self, message: str) -> None:  # type: ignore[override]
        self.print_usage(sys.stderr)
        print(f"balbook: {message}\n  Help: {self.prog} --help", file=sys.stderr)
        raise SystemExit(ExitStatus.BAD_INPUT)


class _Commands(argparse.RawDescriptionHelpFormatter):
    """Room for the longest command beside its summary: argparse forgets by how much commands are indented."""

    def format_help(self) -> str:
        self._action_max_length += self._indent_increment
        return super().format_help()


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """The parser with only the called command's arguments, so that no other module is imported."""
    parser = _Parser(
        prog="balbook",
        description="Deploys Ballerina applications to virtual machines with runbooks that prove what they did.",
        epilog="example: balbook lab up && balbook plan hot_deploy -p application=hotel",
        formatter_class=_Commands,
    )
    parser.add_argument("--version", action="version", version=f"balbook {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)
    called = next((word for word in words if not word.startswith("-")), None)
    if called is not None and called not in COMMANDS:
        parser.error(f"there is no command {called!r}. {nearest(called, COMMANDS)}")
    for name, summary in COMMANDS.items():
        is_called = name == called
        command = commands.add_parser(name, help=summary, description=summary, formatter_class=argparse.RawDescriptionHelpFormatter)
        if is_called:
            import_module(f"balbook.cli.{name.replace('-', '_')}").add(command)
    return parser


def _complete(line: str) -> None:
    """Answers the shell, which asks what may stand where its cursor is, and ends this process."""
    import argcomplete

    command = [word for word in line.split()[1:] if word in COMMANDS][:1]
    argcomplete.autocomplete(_parser(command), always_complete_options=False, default_completer=_offered)  # type: ignore[arg-type]


def _offered(prefix: str, action: argparse.Action, parser: argparse.ArgumentParser, parsed_args: argparse.Namespace) -> Iterable[str]:
    """What may be given to an argument; nothing where that cannot be told."""
    from argcomplete.completers import FilesCompleter

    with suppress(BalbookError, OSError):
        match action.metavar:
            case "NAME" if parser.prog.split()[-1] in ("plan", "apply") or action.dest == "runs":
                return [*_runbooks(), *import_module("balbook.run.pipeline").find_pipelines(Path.cwd())]
            case "RUNBOOK":
                return _runbooks()
            case "APPLICATION":
                return _inventory(parsed_args).applications
            case "HOST:PORT":
                return [i.name for a in _inventory(parsed_args).applications.values() for i in a.instances]
            case "RUN_ID":
                inventory = _inventory(parsed_args)
                return [p.name.rpartition("-")[2] for p in inventory.resolve(inventory.records.path).glob("*-*") if p.is_dir()]
            case "FILE" | "PATH" | "DIR" | "NOTEBOOK":
                return FilesCompleter()(prefix)
    return ()


def _runbooks() -> Iterable[str]:
    from balbook.notebook.runbook import find_runbooks

    return find_runbooks()


def _inventory(args: argparse.Namespace) -> Inventory:
    """The one that the command would use."""
    from balbook.inventory import find_inventory, read_inventory
    from balbook.local.lab_place import running_inventory

    named, running = getattr(args, "inventory", None), running_inventory(os.environ)
    return read_inventory(find_inventory(named, environ=os.environ, cwd=Path.cwd(), lab_inventory=running)[0])
