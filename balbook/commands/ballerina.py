"""`bal` on a build host. Every call has a deadline that ends its whole process group there: the real one can hang.

`bal` is `ROOT/bin/bal`, put there by the runbook `install`.
"""

from __future__ import annotations

from typing import Any

from balbook.commands import host_script
from balbook.commands.command import Command, hosted, script
from balbook.secrets.secret_ref import SecretRef

BUILD_S = 1800
PUSH_S = 300
TOOL = "consolidate-packages"
TOOL_VERSION = "1.1.0"


def bal_of(root: str) -> str:
    """The path of `bal` on a host."""
    return f"{root}/bin/bal"


def bal(root: str, directory: str, *words: str, within_s: int = BUILD_S) -> Command:
    """Runs one `bal` command in a directory; status 124 where it does not end in time."""
    options: dict[str, Any] = {"after": ("bounded",), "deadline_s": within_s + 20.0, "shown": f"bal {' '.join(words)} in {directory}"}
    return hosted("bal", directory, within_s, bal_of(root), *words, file="in_directory", **options)


def push(root: str, directory: str, token: str, *, within_s: int = PUSH_S) -> Command:
    """Runs `bal push` to Central; the token goes over standard input."""
    options: dict[str, Any] = {"after": ("bounded",), "deadline_s": within_s + 20.0, "shown": f"bal push in {directory}"}
    stdin = (SecretRef(token), "\n")
    return hosted("bal-push", directory, within_s, bal_of(root), "push", file="with_token", stdin=stdin, **options)


def new_package(root: str, directory: str, name: str) -> Command:
    """Runs `bal new --template lib NAME` in a directory of balbook's."""
    text = 'mkdir -p "$2" && cd "$2" && rm -rf "./$3" && "$1" new --template lib "$3" 2>&1'
    return script("bal-new", text, bal_of(root), directory, name, deadline_s=120)


def has_version(root: str, version: str) -> Command:
    """Exit 0 where `bal version` names this version: `bal dist use` exits 0 even where it changed nothing."""
    text = '"$1" version 2>/dev/null | grep -q -F "Ballerina $2 "'
    return script("has-version", text, bal_of(root), version, deadline_s=60)


def has_tool(root: str) -> Command:
    """Exit 0 where the host has the consolidate tool and balbook's version is active: a line `|NAME |* VERSION |REPO |`."""
    text = '"$1" tool list 2>/dev/null | tr -d " " | grep -q -F "|$2|*$3|"'
    return script("has-tool", text, bal_of(root), TOOL, TOOL_VERSION, deadline_s=60)


def pull_tool(root: str) -> Command:
    """Pulls the consolidate tool; succeeds only where its output says so, too: its exit status is no proof."""
    text = (
        'said=$("$1" tool pull "$2" 2>&1); status=$?; printf "%s\\n" "$said"; [ $status -eq 0 ] || exit $status; '
        'case "$said" in *"successfully set as the active version"*|*"already available locally"*|*"already active"*) ;; *) exit 1 ;; esac'
    )
    return script("pull-tool", text, bal_of(root), f"{TOOL}:{TOOL_VERSION}", deadline_s=300)


def unpack(archive: str, directory: str, sha256: str, keep: tuple[str, ...] = ()) -> Command:
    """Makes the directory from an uploaded tar archive; `keep` is carried over from the old directory."""
    return hosted("unpack", archive, directory, sha256, *keep, deadline_s=120)


def tree_digest(directory: str) -> Command:
    """Prints the digest of a project's sources; `none` where the directory does not exist."""
    return hosted("tree-digest", directory)


def remember(path: str, text: str) -> Command:
    """Keeps a line of balbook's in a file."""
    return script("remember", 'mkdir -p "$(dirname "$1")" && printf "%s\\n" "$2" > "$1.new" && mv -f "$1.new" "$1"', path, text)


def remembers(path: str, text: str) -> Command:
    """Exit 0 where the file has that line."""
    return script("remembers", '[ "$(cat "$1" 2>/dev/null)" = "$2" ]', path, text)


def read(path: str) -> Command:
    """Prints a file; exit 1 where the file does not exist."""
    return script("read", '[ -f "$1" ] && cat "$1"', path, expect=(0, 1))


def download(url: str, path: str, sha256: str, *, within_s: int = 900) -> Command:
    """Has the host fetch a file; a file with another sha256 is refused and removed."""
    return hosted("download", url, path, sha256, within_s, deadline_s=within_s + 20.0)


def fetch_base64(url: str, *, within_s: int = 60) -> Command:
    """Prints a file behind a URL, seen from the host, in base64; status 22 where the server has no such file."""
    text = 'file=$(mktemp) || exit 1; trap \'rm -f "$file"\' EXIT; curl -fsSL --max-time "$2" -o "$file" -- "$1" || exit; base64 < "$file"'
    return script("fetch-base64", text, url, within_s, deadline_s=within_s + 10.0)


def fetch_text(url: str) -> Command:
    """Prints the text behind a URL, seen from the host."""
    return Command(("curl", "-fsSL", "--max-time", "30", "--", url), deadline_s=40, expect=(0, 22))


def install_distribution(archive: str, version: str, sha256: str, directory: str, bal_path: str) -> Command:
    """Unpacks a zip of the distribution; the archive is checked first and removed afterwards."""
    return hosted("install-distribution", archive, version, sha256, directory, bal_path, deadline_s=600)


def has_bal(root: str) -> Command:
    """Exit 0 where the host has `bal`."""
    return script("has-bal", '[ -x "$1" ]', bal_of(root))


def http_status(url: str) -> Command:
    """Prints the HTTP status of a GET, seen from the host; nothing where no server answers."""
    return Command(("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "30", "--", url), deadline_s=40)


def consolidate_new(root: str, place: str, packages: list[str]) -> Command:
    """Runs `bal consolidate-packages new` in the folder above; tests that the project's folder holds already are put back."""
    text = (
        'mkdir -p "$(dirname "$2")" && cd "$(dirname "$2")" && rm -rf "$2.aside" && { [ ! -e "$2" ] || mv "$2" "$2.aside"; } && '
        '"$1" consolidate-packages new --package-path "$2" "$3" && [ -f "$2/Ballerina.toml" ] && '
        '{ [ ! -d "$2.aside/tests" ] || cp -R "$2.aside/tests" "$2/"; } && rm -rf "$2.aside"'
    )
    return script("consolidate-new", text, bal_of(root), place, ",".join(packages), deadline_s=300)


def unpin(place: str) -> Command:
    """Takes the pinned versions out of the working copy, so that `bal` resolves all packages to their newest versions."""
    return Command(("rm", "-f", "--", f"{place}/Dependencies.toml"))


def has_services(place: str, services: list[str]) -> Command:
    """Exit 0 where the project's `Ballerina.toml` names exactly these services, each once."""
    return hosted("has-services", place, *services)


def has_tree_digest(place: str, digest: str) -> Command:
    """Exit 0 where the project's sources have this digest."""
    text = '[ "$(sh -c "$1" tree-digest "$2")" = "$3" ]'
    return script("has-tree-digest", text, host_script("tree_digest"), place, digest)


def is_tested(place: str) -> Command:
    """Exit 0 where the tests passed with the present sources."""
    text = '[ "$(sh -c "$1" tree-digest "$2")" = "$(cat "$2/.balbook-tested" 2>/dev/null)" ]'
    return script("is-tested", text, host_script("tree_digest"), place)


def remember_digest(place: str) -> Command:
    """Keeps the digest of the sources with which the tests passed."""
    text = 'sh -c "$1" tree-digest "$2" > "$2/.balbook-tested.new" && mv -f "$2/.balbook-tested.new" "$2/.balbook-tested"'
    return script("remember-digest", text, host_script("tree_digest"), place)


def nothing() -> Command:
    """Exit 0, for a step that is done already: this machine knows it, not the host."""
    return script("nothing", "true")
