"""The command line: a file for each command, imported only when the command is called; `common` has the parts that commands share.

Commands read words, call a room below and print. They decide nothing that a notebook would decide otherwise. A command's file has
`EXAMPLE`, `ARGUMENTS` and `run`, or `EXAMPLE` and `ACTIONS`.
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
from typing import TYPE_CHECKING, Any

from balbook import __version__
from balbook.errors import BalbookError, ExitStatus, nearest

if TYPE_CHECKING:
    from balbook.inventory import Inventory

COMMANDS = {
    "plan": "show the changes that a runbook or pipeline would make; change nothing",
    "apply": "run a runbook or pipeline",
    "resume": "continue a run after its process died",
    "stop": "stop a run in a safe state",
    "status": "show the release on each instance, and the holder of the lock",
    "logs": "show the last lines of an application's logs",
    "drain": "take one instance out of service, for maintenance",
    "readmit": "put a drained instance back into service",
    "rollback": "return an application to a release that was proven healthy",
    "unlock": "take an application's lock away from its holder",
    "records": "list, show, compare, verify and export the records of runs",
    "seal": "seal a run of plain papermill or JupyterLab",
    "approve": "sign a plan with your key, so that another person may apply it",
    "lab": "start, show, break and remove a disposable fleet for rehearsals",
    "init": "make a deployment repository",
    "jupyter": "open JupyterLab on the runbooks, with an index of the deployed releases",
    "new-runbook": "write a runbook of your own, with its procedure",
    "check": "check that runbooks have the anatomy of a runbook",
    "doctor": "check this machine and the hosts for the things that balbook needs",
    "registry": "publish artifacts to a registry, and retrieve them",
    "report": "write a page of measures over all records",
    "schedule": "run runbooks and pipelines at set times, by systemd, cron or Airflow",
    "workflow": "write workflows for GitHub Actions",
    "schema": "print the inventory's JSON Schema, for editors",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit status. A BalbookError is a message and advice; a traceback means a defect in balbook."""
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
        problem = f"{exc.filename}: {exc.strerror}" if exc.filename else str(exc)
        print(
            f"balbook: {problem}\n  Check that the file exists, that you have access, and that the disk has space; try again.",
            file=sys.stderr,
        )
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
    """An argument parser whose errors look like those of balbook."""

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
        parser.error(f"balbook has no command {called!r}. {nearest(called, COMMANDS)}")
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary)
        if name == called:
            fill(command, import_module(f"balbook.cli.{name.replace('-', '_')}"))
    return parser


def fill(parser: argparse.ArgumentParser, command: Any) -> None:
    """Gives the parser the example and the arguments of a command's module, or its actions; and those of an `Action`."""
    parser.epilog, parser.formatter_class = f"example: {command.EXAMPLE}", argparse.RawDescriptionHelpFormatter
    if actions := getattr(command, "ACTIONS", {}):
        below = parser.add_subparsers(metavar="ACTION", required=True, dest="chosen")
        for name, action in actions.items():
            fill(below.add_parser(name, help=action.summary, description=action.summary), action)
        return
    for flags, about in command.ARGUMENTS:
        parser.add_argument(*flags, **about)
    parser.set_defaults(run=command.run)


def _complete(line: str) -> None:
    """Answers the shell's question for completions of this line, and ends this process."""
    import argcomplete

    command = [word for word in line.split()[1:] if word in COMMANDS][:1]
    argcomplete.autocomplete(_parser(command), always_complete_options=False, default_completer=_offered)  # type: ignore[arg-type]


def _offered(prefix: str, action: argparse.Action, parser: argparse.ArgumentParser, parsed_args: argparse.Namespace) -> Iterable[str]:
    """The values that an argument takes; empty where they are not known."""
    from argcomplete.completers import FilesCompleter

    with suppress(BalbookError, OSError):
        match action.metavar:
            case "NAME" if parser.prog.split()[-1] in ("plan", "apply") or action.dest == "runs":
                from balbook.run.pipeline import find_pipelines

                return [*_runbooks(), *find_pipelines(Path.cwd())]
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
    """The inventory that the command would use."""
    from balbook.cli.common import found_inventory
    from balbook.inventory import read_inventory

    return read_inventory(found_inventory(getattr(args, "inventory", None))[0])
