"""The lab's `native-image`: makes a real binary, which needs no Java, from a jar of the lab's."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from balbook.errors import Failed

SOURCES = Path(__file__).parent / "runtime" / "native"
COMPILE_DEADLINE_S = 120


def make_graalvm(directory: Path, *, python: str = sys.executable) -> Path:
    """A directory that serves as `GRAALVM_HOME`: it holds `bin/native-image`."""
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
    """An ELF that serves the routes of the jar; Failed where there is no C compiler."""
    compiler = shutil.which("cc")
    if not compiler:
        raise Failed("the lab found no C compiler", advice="Install one (Debian: gcc and libc6-dev).")
    with zipfile.ZipFile(jar) as archive:
        table = archive.read("routes.tsv").decode()
        manifest = archive.read("META-INF/MANIFEST.MF").decode()
    destination.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=destination.parent) as directory:
        source, binary = Path(directory) / "table.c", Path(directory) / "binary"
        source.write_text(_c_table(table) + _c_stamp(manifest))
        argv = [compiler, "-O1", "-pthread", f"-I{SOURCES}", "-o", str(binary), str(source), str(SOURCES / "service.c")]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=COMPILE_DEADLINE_S, check=False)
        if done.returncode:
            raise Failed(f"cc could not compile the lab's native runtime:\n{done.stderr.strip()}", advice="Install gcc and libc6-dev.")
        binary.replace(destination)
    return destination


def main(argv: Sequence[str]) -> int:
    """`native-image -jar JAR -H:Name=NAME -H:Path=DIRECTORY`; other options are passed over."""
    words = list(argv)
    if "-jar" not in words or words[-1] == "-jar":
        print("Error: Please specify options for native-image building: -jar JAR", file=sys.stderr)
        return 1
    jar = Path(words[words.index("-jar") + 1])
    given = dict(word[3:].split("=", 1) for word in words if word.startswith("-H:") and "=" in word)
    name = given.get("Name", jar.stem)
    print(f"GraalVM Native Image: Generating '{name}' (lab stand-in)...", flush=True)
    try:
        make_binary(jar, Path(given.get("Path", ".")) / name)
    except Failed as exc:
        print(f"Error: {exc}", file=sys.stderr)
        return 1
    print(f"Finished generating '{name}'.", flush=True)
    return 0


def _c_table(table: str) -> str:
    lines = "\n".join(_c_string(line) for line in table.splitlines(keepends=True))
    return f"const char TABLE[] =\n{lines or _c_string('')};\n"


def _c_stamp(manifest: str) -> str:
    """The jar's manifest, so that two builds differ in bytes as the real command's do."""
    return f"extern const char BUILT[];\nconst char BUILT[] = {_c_string(manifest)};\n"


def _c_string(text: str) -> str:
    """A C literal of the text's bytes; three octal digits, which a following digit cannot lengthen."""
    safe = {ord(c) for c in "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 _-/.:,;=+{}[]()"}
    return '"' + "".join(chr(b) if b in safe else f"\\{b:03o}" for b in text.encode()) + '"'


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
