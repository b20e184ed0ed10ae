"""Templates filled with values; pure.

The templates are text of ours and stand below `templates/`. A name that a template uses and that is not given is an error, so
that no configuration is written with a hole in it.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from balbook.local.resources import resource


def render(template: str, /, **values: Any) -> str:
    """The text of `template` (a path below `templates/`) with `values` filled in; ends in one newline."""
    return _environment().get_template(template).render(**values).rstrip("\n") + "\n"


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(resource("templates")),
        undefined=StrictUndefined,
        autoescape=lambda name: bool(name) and str(name).endswith(".html.j2"),  # escaping would damage configurations and scripts
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
