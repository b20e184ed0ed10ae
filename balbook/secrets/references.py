"""Secrets by reference, and the scrubber that keeps their values out of everything that is written.

    env:NAME                 an environment variable
    file:PATH                a private file; one line end at its end is taken off
    cmd:WORDS                the standard output of a command; words are split as a shell would, no shell runs
    keyring:SERVICE/USER     the desktop's keyring, where the `keyring` package is installed

A `Vault` reads each value once and remembers it: what is not remembered cannot be scrubbed.
Scrub before text is shortened; half a secret is not recognised. No message of this module holds a value, nor a text that
might be one because somebody wrote the secret where its reference belongs.
"""

from __future__ import annotations

import base64
import importlib
import os
import re
import shlex
import signal
import stat
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen, TimeoutExpired
from typing import Any

from balbook.errors import BadInput

MIN_LENGTH = 8
DEADLINE_S = 30.0
MAX_FILE_BYTES = 65536
FORMS = {"env": "env:NAME", "file": "file:PATH", "cmd": "cmd:COMMAND ARGUMENTS", "keyring": "keyring:SERVICE/USER"}

_SECRET_WORD = re.compile(r"passw(or)?d|passphrase|passcode|pass|pwd|pw|secrets?|tokens?|apikey|credentials?|bearer")
_KIND_OF_KEY = re.compile(r"api|access|private|signing|encryption|auth|license|ssh|master|account|shared")


def resolve(reference: str, environ: Mapping[str, str], *, base: Path | None = None) -> str:
    """The secret that `reference` names; BadInput where the secret cannot be read or is too weak to be kept.

    `base` is the start of a relative `file:` path (the inventory's folder; unset: the working directory).
    `cmd:` runs with `environ` and no terminal, for at most 30 s.
    """
    scheme, rest = parse(reference)
    match scheme:
        case "env" if rest not in environ:
            raise BadInput(f"the secret {reference} is not set", advice=f"Set the environment variable {rest}.")
        case "env":
            value = environ[rest]
        case "file":
            value = _from_file(reference, (base or Path()) / Path(rest).expanduser())
        case "cmd":
            value = _from_command(reference, rest, environ)
        case _:
            value = _from_keyring(reference, rest)
    return _checked(reference, value)


def parse(reference: str) -> tuple[str, str]:
    """The scheme and the rest of a well-formed reference; BadInput otherwise. Reads no secret."""
    scheme, colon, rest = reference.partition(":")
    if not colon or scheme not in FORMS:
        raise _not_a_reference(scheme if colon else "")
    if scheme == "env" and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", rest):
        raise BadInput("the secret reference env:… does not name a variable", advice="Write env:NAME, with letters, digits and _ only.")
    if scheme == "keyring" and not all(rest.rpartition("/")[::2]):
        raise BadInput(f"the secret reference {reference} does not name a service and a user", advice="Write keyring:SERVICE/USER.")
    if not rest.strip() or any(ord(c) < 32 for c in rest):
        raise BadInput(f"the secret reference {scheme}: is empty or has a control character", advice=f"Write {FORMS[scheme]}.")
    return scheme, rest


def looks_like_secret(name: str) -> bool:
    """True where a parameter's name says that its value is a secret.

    >>> [looks_like_secret(n) for n in ("db_password", "apiKey", "accessToken", "author", "key", "passes")]
    [True, True, True, False, False, False]
    """
    words = [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]
    is_key = any(_KIND_OF_KEY.fullmatch(kind) and key in ("key", "keys") for kind, key in pairwise(words))
    return is_key or any(map(_SECRET_WORD.fullmatch, words))


def without_secrets(environ: Mapping[str, str], references: Iterable[str]) -> dict[str, str]:
    """`environ` without the variables that `env:` references name, for processes that need no secret."""
    named = {rest for scheme, _, rest in (r.partition(":") for r in references) if scheme == "env"}
    return {name: value for name, value in environ.items() if name not in named}


class Scrubber:
    """Remembers secrets; replaces the secrets, and their common encodings, by `[secret env:NAME]`.

    Found: as it stands; base64 at any alignment, standard and URL-safe; URL-quoted; JSON-, Python-, HTML- and shell-escaped;
    hex in either case, with or without separators; each of them also split by line wraps.
    """

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self._patterns: tuple[tuple[int, re.Pattern[str], str], ...] = ()
        self._learning: list[Scrubber] = []

    @property
    def references(self) -> tuple[str, ...]:
        """The references whose values are remembered, in the order of their first use."""
        return tuple(dict.fromkeys(self._known.values()))

    @property
    def values(self) -> tuple[str, ...]:
        """The secrets themselves."""
        return tuple(self._known)

    def spans(self, text: str) -> list[tuple[int, int]]:
        """The places of secrets in `text`."""
        return [found.span() for _, pattern, _ in self._patterns for found in pattern.finditer(text)]

    def learn(self, other: Scrubber) -> None:
        """Remembers the secrets of `other`, present and future ones."""
        other._learning.append(self)
        for value, reference in other._known.items():
            self.remember(reference, value)

    def remember(self, reference: str, value: str) -> None:
        """Remembers that `value` is replaced by the name of `reference`."""
        if value in self._known:
            return
        self._known = {**self._known, value: reference}
        added = tuple((len(value), pattern, _marker(reference, value)) for pattern in _patterns(value))
        # The longest first: a secret that begins with another one is replaced whole.
        self._patterns = tuple(sorted((*self._patterns, *added), key=lambda known: -known[0]))
        for other in self._learning:
            other.remember(reference, value)

    def text(self, text: str) -> str:
        """`text` without secrets."""
        for _, pattern, marker in self._patterns:
            text = pattern.sub(marker, text)
        return text

    def bytes(self, data: bytes) -> bytes:
        """`data` without secrets; bytes that are not UTF-8 stay as they are."""
        return self.text(data.decode(errors="surrogateescape")).encode(errors="surrogateescape") if self._patterns else data

    def data(self, value: Any) -> Any:
        """Plain data (dicts, lists, tuples, strings, numbers) without secrets, keys included; the rest as it is."""
        if not self._patterns:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, bytes):
            return self.bytes(value)
        if isinstance(value, Mapping):
            return {self.data(key): self.data(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(map(self.data, value)) if type(value) in (list, tuple) else [self.data(item) for item in value]
        if isinstance(value, int | float) and len(digits := str(value)) >= MIN_LENGTH:
            return value if (clean := self.text(digits)) == digits else clean
        return value


# Reading -------------------------------------------------------------------------------------------------------------------


def _not_a_reference(scheme: str) -> BadInput:
    known = ", ".join(FORMS.values())
    if close := get_close_matches(scheme, FORMS, n=1, cutoff=0.6):
        return BadInput(f"'{scheme}:' is not a kind of secret reference", advice=f"Did you mean '{close[0]}:'? Known: {known}.")
    return BadInput(
        "expected a secret reference such as env:NAME, got a plain value (not shown)",
        advice=f"Write one of {known}. If the value was the secret itself, change the secret: the file that holds it may be in git.",
    )


def _from_file(reference: str, path: Path) -> str:
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise BadInput(f"the secret {reference} is not a regular file", advice="Name a file that holds only the secret.")
        if mode & 0o007:
            raise BadInput(f"the secret {reference} is open to every user ({mode & 0o777:04o})", advice=f"Run chmod o-rwx {path}")
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as exc:
        raise BadInput(f"the secret {reference} cannot be read: {exc.strerror}", advice=f"Check {path} and its owner.") from exc
    return _one_line(reference, data)


def _from_command(reference: str, words: str, environ: Mapping[str, str]) -> str:
    try:
        argv = shlex.split(words)
    except ValueError as exc:
        raise BadInput(f"the secret {reference} is not a command line: {exc}", advice="Quote its words as for a shell.") from exc
    advice = "Run the command by hand. The output is not shown here, because it might hold the secret."
    try:
        process = Popen(argv, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL, env=dict(environ), start_new_session=True)
    except OSError as exc:
        raise BadInput(f"the secret {reference} cannot be read: {exc.strerror}", advice=advice) from exc
    try:
        data, _ = process.communicate(timeout=DEADLINE_S)
    except TimeoutExpired as exc:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise BadInput(f"the secret {reference} cannot be read: the command did not end within {DEADLINE_S:g} s", advice=advice) from exc
    if process.returncode:
        raise BadInput(f"the secret {reference} cannot be read: the command ended with status {process.returncode}", advice=advice)
    return _one_line(reference, data)


def _from_keyring(reference: str, rest: str) -> str:
    service, _, user = rest.rpartition("/")
    try:
        keyring = importlib.import_module("keyring")
    except ImportError as exc:
        raise BadInput(f"the secret {reference} needs the package keyring", advice="Run pip install keyring") from exc
    try:
        value = keyring.get_password(service, user)
    except Exception as exc:  # each of keyring's many backends has errors of its own
        raise BadInput(f"the secret {reference} cannot be read: {type(exc).__name__}", advice="Unlock the keyring.") from exc
    if value is None:
        raise BadInput(f"the secret {reference} is not in the keyring", advice=f"Run keyring set {service} {user}")
    return str(value)


def _one_line(reference: str, data: bytes) -> str:
    if len(data) > MAX_FILE_BYTES:
        raise BadInput(f"the secret {reference} is too large (limit {MAX_FILE_BYTES} bytes)", advice="A secret is one line of text.")
    try:
        return data.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        # Not chained: the decoder's error holds the bytes.
        raise BadInput(f"the secret {reference} is not UTF-8 text", advice="Store the secret as text, for instance in base64.") from None


def _checked(reference: str, value: str) -> str:
    advice = "Take a longer secret: a short one can neither be guarded nor be told from other text."
    for is_wrong, fault, remedy in (
        (not value, "is empty", "Check the place that the reference names."),
        (len(value) < MIN_LENGTH, f"is shorter than {MIN_LENGTH} characters", advice),
        (any(ord(c) < 32 or ord(c) == 127 for c in value), "has a line break or a control character", "A secret is one line of text."),
        (len(set(value)) < 3, "repeats the same characters", advice),
    ):
        if is_wrong:
            raise BadInput(f"the secret {reference} {fault}", advice=remedy)
    return value


# Finding -------------------------------------------------------------------------------------------------------------------

# Line wraps that a terminal, a mail program, `base64` or JSON puts into the middle of a long word.
GAP = r'(?:\x1b\[[0-9;]*m|\\?\r?\n[ \t]*|(?:\\r)?\\n(?:",\s*")?)*'
_ESCAPED = {
    "&": r"&amp;|&#38;",
    "<": r"&lt;|&#60;",
    ">": r"&gt;|&#62;",
    '"': r"\\{1,8}\"|&quot;|&#34;",
    "'": r"'\"'\"'|'\\''|\\{1,8}'|&#39;|&#x27;",
    "/": r"\\{1,4}/",
    "\\": r"\\{2,8}",
    " ": r"\+",
}


def encodings(value: str) -> tuple[str, tuple[str, ...]]:
    """The value in hex (lower case), and the three texts of base64, by the offset of the value."""
    return value.encode().hex(), tuple(t[a:b] for t, a, b in (_base64_text(value.encode(), n) for n in range(3)))


def _marker(reference: str, value: str) -> str:
    """The text in the secret's place, as a replacement for `re.sub`."""
    return "[secret]" if value in reference else f"[secret {reference}]".replace("\\", r"\\")


def _patterns(value: str) -> list[re.Pattern[str]]:
    """Patterns of all encodings. Each begins with few possible characters, so that `re` skips quickly over text without secrets."""
    data = value.encode()
    hexadecimal = f"{GAP}[: ]?{GAP}".join(_either_case(f"{byte:02x}") for byte in data)
    plain = GAP.join(_character(c) for c in value)
    return [re.compile(p) for p in (plain, *(_base64(data, before) for before in range(3)), hexadecimal)]


def _character(c: str) -> str:
    """The character as it stands or in one of its escapes."""
    quoted = "".join(f"%{GAP}(?:25)?{_either_case(f'{b:02x}')}" for b in c.encode())
    hexed = "".join(rf"\\{{1,2}}x{_either_case(f'{b:02x}')}" for b in c.encode())
    units = c.encode("utf-16-be").hex()
    unicode = "".join(rf"\\{{1,2}}u{_either_case(units[i : i + 4])}" for i in range(0, len(units), 4))
    alternatives = [_ESCAPED[c]] if c in _ESCAPED else []
    # Longest first for a backslash: its escapes begin with itself.
    return f"(?:{'|'.join([*alternatives, re.escape(c), quoted, unicode, hexed])})"


def _base64(data: bytes, before: int) -> str:
    """The characters that `data` alone decides where `before` bytes of something else precede it (modulo 3).

    The neighbours, which hold a few bits of it, go too.
    """
    text, first, last = _base64_text(data, before)
    other = {"+": r"(?:[+-]|%2[bB])", "/": r"(?:[/_]|%2[fF]|\\/)"}
    core = GAP.join(other.get(c, c) for c in text[first:last])
    partial_before = "[A-Za-z0-9+/_-]?" if before else ""
    partial_after = f"(?:{GAP}[A-Za-z0-9+/_-])?" if last < len(text) else ""
    return partial_before + core + partial_after + "(?:=|%3[dD]){0,2}"


def _base64_text(data: bytes, before: int) -> tuple[str, int, int]:
    text = base64.b64encode(b"\0" * before + data).decode().rstrip("=")
    return text, (before * 8 + 5) // 6, (before + len(data)) * 8 // 6


def _either_case(hexadecimal: str) -> str:
    return GAP.join(f"[{c}{c.upper()}]" if c.isalpha() else c for c in hexadecimal)
