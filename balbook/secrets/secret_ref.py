"""A secret in a plan or a command: its reference, never its value."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SecretRef:
    """A secret by reference (`env:NAME`, `file:PATH`, …); the value is read at the transport's edge.

    `quoting`: `toml` where it stands in a TOML string in double quotes.
    """

    reference: str
    quoting: str = ""

    def quoted(self, value: str) -> str:
        """The value, escaped for the text around it."""
        return value.replace("\\", "\\\\").replace('"', '\\"') if self.quoting == "toml" else value


Text = tuple[str | SecretRef, ...]
"""Text without secrets: its parts are joined once the references are read."""
