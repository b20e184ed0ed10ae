"""HTML without unescaped values: templates are ours, and each value is escaped unless it is markup itself.

A test holds the templates to be literals, so that no f-string brings a value past this.
"""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup, escape

__all__ = ["Markup", "escape", "joined", "markup"]


def markup(template: str, /, *values: object, **named: object) -> Markup:
    """The template with the values in its braces, as `str.format` has them.

    >>> str(markup("<b>{}</b>{:.1f}{}", "a<b", 0.25, markup("<br>")))
    '<b>a&lt;b</b>0.2<br>'
    """
    return Markup(template).format(*values, **named)


def joined(parts: Iterable[str], between: str = "") -> Markup:
    """The parts, one after the other."""
    return Markup(between).join(parts)
