"""The lab's `bal`: `python -m balbook.lab.ballerina.bal ARGUMENTS`, what a host's launcher runs.

The stand-in keeps to the real command in arguments, files, outputs, streams, exit statuses and traps, as far as balbook uses it. But it
reads only the signatures of a package and runs nothing; each output says that, on standard error where the real command has
nothing like it. Environment: `BALLERINA_HOME_DIR`, `BALLERINA_CENTRAL_ACCESS_TOKEN`, `GRAALVM_HOME`;
`BALBOOK_LAB_CENTRAL` is the base URL of the lab's Central, `BALBOOK_LAB_UPDATE` a version that is announced before each output,
as the real one does at times.
"""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from balbook.lab.ballerina import consolidate, new, tasks, tools
from balbook.lab.ballerina.home import Home, current_home
from balbook.lab.ballerina.said import RAN_NOTHING, STAND_IN, Refusal, err, out
from balbook.local.atomic_files import write_text

_BANNER = """ballerina: Oh no, something really went wrong. Bad. Sad.

We appreciate it if you can report the code that broke Ballerina in
https://github.com/ballerina-platform/ballerina-lang/issues with the
log you get below and your sample code."""

Subcommand = Callable[[Sequence[str], Home], None]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    _wait_for_debugger()
    if os.environ.get("BALBOOK_LAB_UPDATE"):
        version = os.environ["BALBOOK_LAB_UPDATE"]
        out(f"A new version of Ballerina is available: {version}")
        out(f"Use 'bal dist pull {version}' to download and use the distribution")
    home = current_home()
    try:
        command = _command(words, home)
        if command is not _version:  # `version` says this on standard output
            err(RAN_NOTHING)
        command(words[1:], home)
    except Refusal as refusal:
        err(refusal.text)
        return refusal.status
    except RuntimeError as exc:
        err(f"{_BANNER}\n\njava.lang.NullPointerException: {exc}")
        return 1
    return 0


def write_launcher(path: Path, environment: Mapping[str, str], *, python: str = sys.executable, has_library: bool = False) -> Path:
    """Writes a `bal` at `path` that runs this module with these variables.

    `has_library`: the modules are in `lib` beside the launcher's folder, and the host has a Python of its own.
    """
    exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in sorted(environment.items()))
    source = '$(dirname "$(dirname "$(readlink -f "$0")")")/lib' if has_library else shlex.quote(str(Path(__file__).parents[3]))
    text = f"#!/bin/sh\n# {STAND_IN} for Ballerina's command\n{exports}PYTHONPATH={source}${{PYTHONPATH:+:$PYTHONPATH}}\n"
    text += f'export PYTHONPATH\nexec {"python3" if has_library else shlex.quote(python)} -m balbook.lab.ballerina.bal "$@"\n'
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text, mode=0o755, is_durable=False)
    return path


def _command(words: Sequence[str], home: Home) -> Subcommand:
    commands: dict[str, Subcommand] = {
        "version": _version,
        "help": _help,
        "new": new.new,
        "test": tasks.test,
        "pack": tasks.pack,
        "build": tasks.build,
        "run": tasks.run,
        "push": tasks.push,
        "clean": tasks.clean,
        "tool": tools.tool,
        "dist": tools.dist,
    }
    name = words[0] if words else "help"
    if name in ("-v", "--version"):
        return _version
    if name in ("-h", "--help"):
        return _help
    if name == consolidate.TOOL and home.has_tool(name):
        return consolidate.run
    if name not in commands:
        raise Refusal(f"ballerina: unknown command '{name}'\nRun 'bal help' for usage.")
    return commands[name]


def _version(argv: Sequence[str], home: Home) -> None:
    version = home.distribution()
    update = version.split(".")[1]
    out(f"Ballerina {version} (Swan Lake{f' Update {update}' if update != '0' else ''})")
    out("Language specification 2024R1")
    out("Update Tool 1.5.1")
    out(RAN_NOTHING)


def _help(argv: Sequence[str], home: Home) -> None:
    out("NAME\n       bal - The build system and package manager of Ballerina (lab stand-in)\n")
    out("SYNOPSIS\n       bal <command> <args>\n")
    out("COMMANDS\n       new  test  pack  build  run  push  clean  tool  dist  version")


def _wait_for_debugger() -> None:
    if os.environ.get("BAL_JAVA_DEBUG"):
        out(f"Listening for transport dt_socket at address: {os.environ['BAL_JAVA_DEBUG']}")
        while True:
            time.sleep(3600)


if __name__ == "__main__":
    sys.exit(main())
