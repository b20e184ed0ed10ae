"""The lab's `native-image`: writes no native image, but one executable file that starts the jar in it."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from balbook.lab.ballerina.jar import JAVA_OPTIONS
from balbook.local.atomic_files import write_bytes

# The JVM takes the shell's place, with its pid and its signals. A host without Java on its PATH takes the Java of the build.
_START = """#!/bin/sh
# lab stand-in: no native image, but a jar below these lines, and what starts it
java=$(command -v java) || java={java}
exec "$java" {options} -jar "$0" "$@"
"""


def make_graalvm(directory: Path, *, python: str = sys.executable) -> Path:
    """Makes a folder for `GRAALVM_HOME`, with `bin/native-image`."""
    launcher = directory / "bin" / "native-image"
    launcher.parent.mkdir(parents=True, exist_ok=True)
    source = shlex.quote(str(Path(__file__).parents[3]))
    launcher.write_text(
        f"#!/bin/sh\n# lab stand-in for GraalVM's command\nPYTHONPATH={source}${{PYTHONPATH:+:$PYTHONPATH}}\nexport PYTHONPATH\n"
        f'exec {shlex.quote(python)} -m balbook.lab.ballerina.native "$@"\n'
    )
    launcher.chmod(0o755)
    return directory


def make_binary(jar: Path, destination: Path) -> Path:
    """Writes the executable file of a jar; archives are read from their end, so Java takes the file for the jar."""
    start = _START.format(java=shlex.quote(shutil.which("java") or "java"), options=" ".join(JAVA_OPTIONS))
    write_bytes(destination, start.encode() + jar.read_bytes(), mode=0o755, is_durable=False)
    return destination


def main(argv: Sequence[str]) -> int:
    """Runs `native-image -jar JAR -H:Name=NAME -H:Path=DIRECTORY`; other options are ignored."""
    words = list(argv)
    if "-jar" not in words or words[-1] == "-jar":
        print("Error: Please specify options for native-image building: -jar JAR", file=sys.stderr)
        return 1
    jar = Path(words[words.index("-jar") + 1])
    given = dict(word[3:].split("=", 1) for word in words if word.startswith("-H:") and "=" in word)
    name = given.get("Name", jar.stem)
    make_binary(jar, Path(given.get("Path", ".")) / name)
    print(f"lab stand-in: no native image was made; {name} is a file that starts Java with the jar in it", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
