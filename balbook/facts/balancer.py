"""The instances that a balancer's configuration has in service."""

from __future__ import annotations

import re

from balbook.commands.command import Command, script


def configuration(path: str) -> Command:
    """Prints the file; exit 1 where the file does not exist."""
    return script("configuration", '[ -f "$1" ] && cat "$1"', path, expect=(0, 1), is_privileged=True)


def parse_runtime(text: str) -> dict[str, bool]:
    """Server name → whether HAProxy uses it, from the `# runtime NAME STATE` lines of `haproxy.configuration`.

    Of the administrative state 1 is maintenance and 8 drained; 4 only says that the file once had it disabled.

    >>> parse_runtime("# runtime app1:9090 0\\n# runtime app2:9090 8")
    {'app1:9090': True, 'app2:9090': False}
    """
    lines = [line.split() for line in text.splitlines() if line.startswith("# runtime ")]
    return {words[2]: not int(words[3]) & 9 for words in lines if len(words) == 4 and words[3].isdigit()}


def without_runtime(text: str) -> str:
    """The file alone, of what `haproxy.configuration` printed: states come and go.

    >>> without_runtime("backend hotel\\n# runtime app1:9090 8\\n")
    'backend hotel\\n'
    """
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("# runtime "))


def parse_servers(text: str) -> dict[str, bool]:
    """`address:port` → whether it is in service, from a configuration that balbook rendered.

    >>> parse_servers("server 10.0.0.1:9090 max_fails=3;\\nserver 10.0.0.2:9090 down;")
    {'10.0.0.1:9090': True, '10.0.0.2:9090': False}
    """
    found: dict[str, bool] = {}
    for line in text.splitlines():
        words = line.split("#", 1)[0].strip().rstrip(";").split()
        match words:
            case ["server", _, address, *options] if re.fullmatch(r"[^=]+:\d+", address):  # HAProxy; its names have colons too
                found[address] = "disabled" not in options
            case ["server", address, *options] if ":" in address:
                found[address] = "down" not in options
    return found
