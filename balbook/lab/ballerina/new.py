"""The command `bal new`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from balbook.lab.ballerina.home import Home, os_user
from balbook.lab.ballerina.options import read_options
from balbook.lab.ballerina.package import NAME, package_name
from balbook.lab.ballerina.said import command_error, err

_LIBRARY = """# Returns the string `Hello` with the input string name.
#
# + name - name as a string or nil
# + return - "Hello, " with the input string name
public function hello(string? name) returns string {
    if name !is () {
        return string `Hello, ${name}`;
    }
    return "Hello, World!";
}
"""
_LIBRARY_TEST = """import ballerina/test;

@test:Config {}
function testFunction() {
    string name = "John";
    string welcomeMsg = hello(name);
    test:assertEquals("Hello, John", welcomeMsg);
}

@test:Config {}
function negativeTestFunction() {
    string welcomeMsg = hello(());
    test:assertEquals("Hello, World!", welcomeMsg);
}
"""
_MAIN = """import ballerina/io;

public function main() {
    io:println("Hello, World!");
}
"""


def new(argv: Sequence[str], home: Home) -> None:
    """Runs `bal new [--template lib] PATH`; all messages go to standard error."""
    options = read_options(argv, valued=("--template", "-t"))
    if len(options.operands) != 1:
        problem = "project path is not provided." if not options.operands else "too many arguments"
        raise command_error(f"{problem}\nUSAGE:\n    bal new <project-path>\nFor more information try --help")
    template = options.values.get("--template", options.values.get("-t", "main"))
    if template not in ("lib", "main", "default"):
        raise command_error(f"package not found : {template}")
    path = Path(options.operands[0])
    _require_free(path)
    name = path.name if NAME.fullmatch(path.name) else package_name(path.resolve().name)
    if name != path.resolve().name:
        err(f"Package name is derived as '{name}'. Edit the Ballerina.toml to change it.\n")
    path.mkdir(exist_ok=True)
    for file, text in _files(name, template == "lib", home).items():
        target = path / file
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    if template == "lib":
        (path / "resources").mkdir(exist_ok=True)
    err(f"Created new package '{name}' at {path}.")


def _require_free(path: Path) -> None:
    if not path.resolve().parent.is_dir():
        raise command_error(f"destination '{path.resolve().parent}' does not exist.")
    if (path / "Ballerina.toml").exists():
        raise command_error("directory is already a Ballerina project.")
    if any(path.glob("*.bal")):
        raise command_error("existing .bal files found. Please use a different directory or remove existing files.")


def _files(name: str, is_library: bool, home: Home) -> dict[str, str]:
    head = f'[package]\norg = "{os_user()}"\nname = "{name}"\nversion = "0.1.0"\ndistribution = "{home.distribution()}"\n'
    files = {"Ballerina.toml": head + "\n[build-options]\nobservabilityIncluded = true\n", ".gitignore": "target\ngenerated\nConfig.toml\n"}
    if not is_library:
        return files | {"main.bal": _MAIN}
    return files | {f"{name}.bal": _LIBRARY, "tests/lib_test.bal": _LIBRARY_TEST, "README.md": f"# {name}\n\nProvides a library.\n"}
