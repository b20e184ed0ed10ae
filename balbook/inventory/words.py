"""The kinds of words in an inventory: each has a pattern, and a type that follows the pattern.

`\\Z`, not `$`, ends a pattern: in Python `$` also matches before a newline at the end.
"""

from __future__ import annotations

import shlex
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

NAME = r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,127}\Z"
ADDRESS = r"^[A-Za-z0-9][A-Za-z0-9.:_-]{0,254}\Z"
ABSOLUTE_PATH = r"^/(?!.*(^|/)\.\.(/|\Z))[A-Za-z0-9._+/-]*\Z"
URL_PATH = r"^/(?!.*\.\.)[A-Za-z0-9._~/+-]*\Z"
PROBE_PATH = r"^/[A-Za-z0-9._~/+?=&%-]*\Z"
VARIABLE_NAME = r"^[A-Za-z_][A-Za-z0-9_]*\Z"
LINE = r"^[^\x00-\x1f\x7f]*\Z"
LOCAL_PATH = r"^[^\x00-\x1f\x7f]+\Z"
SECRET_REFERENCE = r"^(env:[A-Za-z_][A-Za-z0-9_]*|(file|cmd|keyring):[^\x00-\x1f\x7f]+)\Z"
REGISTRY_SCHEMES = ("file", "s3", "sftp", "http", "https")
"""Schemes of a registry's address; an address without a scheme is a directory."""
WEB_ADDRESS = r"^https?://[A-Za-z0-9._~:/?#@!&=%+\[\]-]+\Z"
PACKAGE = r"^[A-Za-z0-9_]{1,256}/(?!.*__)(?![0-9_.])[A-Za-z0-9_.]{1,256}(?<![_.])\Z"


def _command_line(line: str) -> str:
    try:
        words = shlex.split(line)
    except ValueError as exc:
        raise ValueError(f"is not a command line: {str(exc).lower()}; quote its words as for a shell") from exc
    if not words or not words[0]:
        raise ValueError("names no command; allowed: one command line, with the program and its arguments")
    return line


Name = Annotated[str, StringConstraints(pattern=NAME)]
Address = Annotated[str, StringConstraints(pattern=ADDRESS)]
AbsolutePath = Annotated[str, StringConstraints(pattern=ABSOLUTE_PATH)]
UrlPath = Annotated[str, StringConstraints(pattern=URL_PATH)]
VariableName = Annotated[str, StringConstraints(pattern=VARIABLE_NAME)]
Line = Annotated[str, StringConstraints(pattern=LINE)]
CommandLine = Annotated[Line, AfterValidator(_command_line)]
"""A program and its arguments, quoted as for a shell; no shell runs the line."""
LocalPath = Annotated[str, StringConstraints(pattern=LOCAL_PATH)]
SecretReference = Annotated[str, StringConstraints(pattern=SECRET_REFERENCE)]
WebAddress = Annotated[str, StringConstraints(pattern=WEB_ADDRESS)]
Port = Annotated[int, Field(ge=1, le=65535)]
PackageName = Annotated[str, StringConstraints(pattern=PACKAGE)]
Scalar = Annotated[Line, BeforeValidator(lambda v: str(v).lower() if isinstance(v, bool) else str(v) if isinstance(v, int | float) else v)]
