"""The files that `bal` keeps for a user: repositories, settings, tools, the active distribution; and the address of Central."""

from __future__ import annotations

import os
import pwd
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from balbook.lab.ballerina.package import DISTRIBUTION
from balbook.local.atomic_files import write_text

CENTRAL = "https://api.central.ballerina.io/2.0/registry"


@dataclass(frozen=True)
class Home:
    """The folder `BALLERINA_HOME_DIR`, by default `~/.ballerina`."""

    directory: Path

    def repository(self, name: str) -> Path:
        """The folder of the repository `local` or `central.ballerina.io`."""
        return self.directory / "repositories" / name / "bala"

    @property
    def local(self) -> Path:
        return self.repository("local")

    @property
    def cached(self) -> Path:
        return self.repository("central.ballerina.io")

    def token(self) -> str:
        """The access token of the environment, even an empty one, else the one in `Settings.toml`."""
        if "BALLERINA_CENTRAL_ACCESS_TOKEN" in os.environ:
            return os.environ["BALLERINA_CENTRAL_ACCESS_TOKEN"]
        return str(self._read("Settings.toml").get("central", {}).get("accesstoken", ""))

    def tools(self) -> list[dict[str, Any]]:
        """The tools that were pulled: `id`, `version`, `active`."""
        return list(self._read("bal-tools.toml").get("tool", []))

    def save_tools(self, tools: list[dict[str, Any]]) -> None:
        """Writes the list of tools."""
        text = ""
        for tool in tools:
            package = "tool_" + tool["id"].replace("-", "_")
            text += f'[[tool]]\nid = "{tool["id"]}"\norg = "ballerina"\nname = "{package}"\nversion = "{tool["version"]}"\n'
            text += f"active = {str(tool['active']).lower()}\n\n"
        self._write("bal-tools.toml", text)

    def has_tool(self, name: str) -> bool:
        """True where a version of the tool is active."""
        return any(tool["id"] == name and tool["active"] for tool in self.tools())

    def distribution(self) -> str:
        """The active distribution."""
        path = self.directory / "ballerina-version"
        return path.read_text().strip().removeprefix("ballerina-") if path.is_file() else DISTRIBUTION

    def distributions(self) -> list[str]:
        """The distributions on this machine."""
        pulled = self.directory / "lab-distributions"
        return sorted({DISTRIBUTION, *(pulled.read_text().split() if pulled.is_file() else [])})

    def save_distribution(self, version: str) -> None:
        """Adds a distribution and makes it the active one."""
        self._write("lab-distributions", "\n".join({*self.distributions(), version}) + "\n")
        self._write("ballerina-version", f"ballerina-{version}\n")

    def _read(self, name: str) -> dict[str, Any]:
        path = self.directory / name
        try:
            return tomllib.loads(path.read_text()) if path.is_file() else {}
        except tomllib.TOMLDecodeError:
            return {}

    def _write(self, name: str, text: str) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        write_text(self.directory / name, text, is_durable=False)


def current_home() -> Home:
    """The home that this process's environment names."""
    named = os.environ.get("BALLERINA_HOME_DIR")
    return Home(Path(named) if named else Path(os.environ.get("HOME", "/")) / ".ballerina")


def central_url() -> str:
    """The base URL of Central: `BALBOOK_LAB_CENTRAL`, which the lab sets, else the real one."""
    return os.environ.get("BALBOOK_LAB_CENTRAL", CENTRAL).rstrip("/")


def os_user() -> str:
    """The user's name, with underscores for all characters that an org cannot have."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = f"user{os.getuid()}"
    return re.sub(r"[^A-Za-z0-9_]", "_", name)
