"""A release: one artifact with the configuration of each instance, named by version and digest."""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from balbook.artifacts.store import Artifact
from balbook.commands import files, releases
from balbook.errors import BadInput
from balbook.inventory.models import Application, Instance
from balbook.inventory.secret_references import PLACEHOLDER, with_secrets
from balbook.local.digests import canonical, sha256_of
from balbook.local.rendering import render
from balbook.plan.model import Run, Step, Upload
from balbook.procedures.parts import supervision
from balbook.procedures.parts.site import Site
from balbook.secrets.references import parse
from balbook.secrets.secret_ref import Text

CONFIG = "Config.toml"
OF_ARTIFACT = ("application", "version", "kind", "sha256")
"""The fields of an artifact in REVISION."""


@dataclass(frozen=True)
class Release:
    """`files` maps `PORT/NAME` to content, for every instance by `host:port`."""

    name: str
    artifact: Artifact
    files: Mapping[str, Mapping[str, str]]

    def directory(self, site: Site, host: str) -> str:
        return f"{site.application_dir(host)}/releases/{self.name}"

    def files_on(self, host: str) -> dict[str, str]:
        """The files of all instances on one host."""
        return {path: text for name, group in self.files.items() if name.rpartition(":")[0] == host for path, text in group.items()}

    def revision(self, host: str) -> str:
        """The REVISION file: JSON, one line; the parts of the release."""
        about = {field: getattr(self.artifact, field) for field in OF_ARTIFACT}
        about |= {"release": self.name, "packages": dict(self.artifact.packages), "files": self.files_on(host)}
        return json.dumps(about, sort_keys=True) + "\n"


def release_from(site: Site, revisions: Mapping[str, Mapping[str, Any]]) -> Release:
    """The release that stands on the hosts, from its REVISION on each of them."""
    about = next(iter(revisions.values()))
    known: dict[str, Any] = {field: str(about[field]) for field in OF_ARTIFACT}
    artifact = Artifact(**known, bytes=0, path=Path(), published_at="", packages=dict(about.get("packages", {})))
    groups = {
        i.name: {p: t for p, t in revisions[i.host].get("files", {}).items() if p.startswith(f"{i.port}/")}
        for i in site.application.instances
    }
    return Release(str(about["release"]), artifact, groups)


def release_of(site: Site, artifact: Artifact) -> Release:
    """The release that the inventory's configuration makes of an artifact; same inputs, same name."""
    application = site.application
    rendered = {instance.name: _instance_files(site, application, instance) for instance in application.instances}
    digest = sha256_of(canonical({"artifact": artifact.sha256, "files": rendered}))
    return Release(f"{artifact.version}-{digest[:12]}", artifact, rendered)


def diff_of(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """A unified diff of two sets of files by path."""
    lines: list[str] = []
    for path in sorted({*before, *after}):
        old, new = before.get(path, "").splitlines(), after.get(path, "").splitlines()
        lines += difflib.unified_diff(old, new, f"a/{path}", f"b/{path}", lineterm="")
    return "\n".join(lines)


def stage(site: Site, release: Release, host: str, is_staged: bool, diff: str) -> list[Step]:
    """The steps that bring the release to a host, beside the releases that the host has."""
    directory = release.directory(site, host)
    stored = site.artifact_path(host, release.artifact.sha256)
    there = releases.is_release(directory)
    account = supervision.account(site, host, site.application_name)
    writes = [
        Run(files.put_file(f"{directory}.draft/{path}", _content(path, text), "0600", is_privileged=True))
        for path, text in sorted(release.files_on(host).items())
    ]
    step, artifact = partial(Step, host=host, group="stage", phase="stage", done=there, is_done=is_staged), release.artifact
    upload = step(
        verb="upload",
        title=f"upload {artifact.file_name} ({artifact.bytes:,} bytes, sha256 {artifact.sha256[:12]}…)",
        actions=(Upload(str(artifact.path), artifact.sha256, stored, "0755", is_privileged=True),),
    )
    begin = Run(releases.begin_release(directory, stored, artifact.file_name))
    finish = Run(releases.finish_release(directory, release.revision(host), account))
    title = f"stage release {release.name} beside the current one"
    return [upload, step(verb="stage", title=title, diff=diff, actions=(begin, *writes, finish), verify=(Run(there),))]


def _content(path: str, text: str) -> Text:
    """The file's text; `Config.toml` gets its secrets on the way to the host, other files have none."""
    return with_secrets(text) if path.endswith(f"/{CONFIG}") else (text,)


def _instance_files(site: Site, application: Application, instance: Instance) -> dict[str, str]:
    port = instance.port
    return {
        f"{port}/{CONFIG}": _config(site, application, instance),
        f"{port}/environment": "".join(f"{key}={value}\n" for key, value in sorted(application.environment.items())),
        f"{port}/java_options": "".join(f"{option}\n" for option in application.java_options),
        f"{port}/limits": f"nofile={application.system.nofile}\nmemory_mb={application.system.memory_mb or ''}\n",
    }


def _config(site: Site, application: Application, instance: Instance) -> str:
    """The user's Config.toml with the listener's tables; BadInput where the result is not valid TOML."""
    name, user_config = CONFIG, ""
    if application.config:
        name = application.config.file
        user_config = site.inventory.resolve(name).read_text(encoding="utf-8")
    text = render(
        "instance/Config.toml.j2",
        user_config=user_config,
        port=instance.port,
        graceful_stop_s=float(application.graceful_stop_s),
        # What the balancer reaches over loopback, as in a lab, is not shown to the network.
        listen="127.0.0.1" if site.host(instance.host).address.startswith("127.") else "",
    )
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        advice = "Leave [ballerina.http] and [ballerina.http.defaultListenerConfig] to the inventory (instances, graceful_stop_s)."
        raise BadInput(f"{name} is not valid TOML together with the listener's tables: {exc}", advice=advice) from exc
    _require_in_strings(name, text)
    return text.lstrip("\n")


def _require_in_strings(name: str, text: str) -> None:
    """Refuses a secret's reference that is malformed or stands outside of double quotes, where its value would break the file."""
    references = PLACEHOLDER.findall(text)
    for reference in references:
        parse(reference)
    marked = json.dumps(tomllib.loads(PLACEHOLDER.sub(r"\\uE000", text)), ensure_ascii=False, default=str)
    if marked.count("\ue000") != len(references):
        raise BadInput(
            f"{name}: a secret's reference stands in a comment, a name or a string in single quotes",
            advice='Write the reference as a value in double quotes: password = "${secret:env:DB_PASSWORD}".',
        )
