"""Test, pack and push packages from their source repositories: the CI side of the guide.

A package's sources are a directory or a commit of a git repository, read on this machine and brought to the build host;
a directory that does not exist yet is made by `bal new`. A version that is published already is left alone where its sources
are the same; where the sources differ, the version must rise.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from balbook.commands import ballerina
from balbook.errors import BalbookError
from balbook.inventory import Inventory
from balbook.plan.model import Fetch, Plan, Precondition, Run, Step, Upload
from balbook.procedures import Check
from balbook.procedures.parts.bal_outputs import bal_outputs
from balbook.procedures.parts.packages import Packed, build_host, look, named, record_of, repository
from balbook.procedures.parts.preconditions import row
from balbook.procedures.parts.site import Site
from balbook.record.journal import Journal
from balbook.secrets.references import resolve
from balbook.show.table import Shown, Table


def check(inventory: Inventory, parameters: Mapping[str, Any]) -> None:
    """BadInput where `packages` or `repository` is not valid."""
    named(inventory, parameters)


def preflight(site: Site) -> Table:
    """The packages, and their state in the repository."""
    found = look(site)
    rows = [(str(p.package), p.sources.origin, p.published) for p in found.packed]
    rows += [("-", str(directory), "not written yet") for directory in found.new]
    return Table(("package", "sources", "in the repository"), rows, title=f"Packages for {repository(site)}")


def plan(site: Site) -> Plan:
    """Bring the sources, test, pack, push; packages side by side."""
    host, found = build_host(site), look(site)
    rows = [row(f"{host}: bal is installed", site.holds(host, ballerina.has_bal(site.host(host).root)), met_by="install")]
    rows += [_publishable(p) for p in found.packed if p.published not in ("same", "absent", "lost")]
    if repository(site) == "central" and any(p.published != "same" for p in found.packed):
        rows.append(_token(site))
    steps = [step for packed in found.packed for step in _steps(site, host, packed)]
    steps += [_new(site, host, directory) for directory in found.new]
    subject = {
        "packages": {p.package.full_name: p.package.version for p in found.packed},
        "new": [str(directory) for directory in found.new],
        "repository": repository(site),
    }
    return Plan("pack_push", "", tuple(steps), subject=subject, preconditions=tuple(rows))


def verify(site: Site, plan: Plan) -> Sequence[Check]:
    """The repository has every package now; the directories of new packages exist."""
    new, planned = list(plan.subject["new"]), plan.subject["packages"]
    found = [p for p in look(site).packed if p.package.full_name in planned]
    made = [Check(f"{directory} holds a new package", (Path(directory) / "Ballerina.toml").is_file()) for directory in new]
    return [Check(f"{p.package} is published from these sources", p.published == "same", p.published) for p in found] + made


def evidence(site: Site, plan: Plan, run_dir: Path) -> Sequence[Shown]:
    """The output of `bal`, the counts of the tests, and the packages."""
    return [*bal_outputs(plan, Journal(run_dir / "journal.jsonl")), preflight(site)]


def _publishable(packed: Packed) -> Precondition:
    if packed.published == "other":
        return row(
            f"{packed.package} is not published yet", False, "published already from other sources: raise the version in Ballerina.toml"
        )
    return row("Central answers", False, packed.published)


def _token(site: Site) -> Precondition:
    """Asks for the token before the call, since `bal push` without a token opens a browser and waits for ever."""
    reference, trouble = site.inventory.central.token, ""
    if reference:
        try:
            resolve(reference, os.environ, base=site.inventory.path.parent)
        except BalbookError as exc:
            trouble = exc.message
    else:
        trouble = "the inventory has no central.token: add a reference such as env:BALLERINA_CENTRAL_ACCESS_TOKEN"
    return row("Central's access token can be read", not trouble, trouble or reference)


def _steps(site: Site, host: str, packed: Packed) -> Iterator[Step]:
    """Four steps in the package's own lane, beside the lanes of the other packages."""
    root, package, found = site.host(host).root, packed.package, packed.sources
    place, archive = f"{root}/sources/{package.org}/{package.name}", f"{root}/sources/{found.sha256}.tar"
    record = record_of(site, package)
    # This machine has seen the published version: the host may have no record of it.
    is_done, remembers = packed.published == "same", ballerina.remembers(record, found.sha256)
    done = ballerina.nothing() if is_done else None if packed.published == "lost" else remembers
    name = package.full_name
    step = partial(Step, host=host, about=name, group="packages", lane=name, done=done, is_done=is_done, reads="bal")
    bring = (Upload(str(found.archive), found.sha256, archive), Run(ballerina.unpack(archive, place, found.sha256)))
    yield step(verb="sources", title=f"{package}: sources from {found.origin}", actions=bring)
    for verb in ("test", "pack"):
        yield step(verb=verb, title=f"{package}: bal {verb}", actions=(Run(ballerina.bal(root, place, verb)),))
    if repository(site) == "central":
        push = ballerina.push(root, place, site.inventory.central.token or "")
    else:
        push = ballerina.bal(root, place, "push", "--repository=local", within_s=ballerina.PUSH_S)
    actions = (Run(push), Run(ballerina.remember(record, found.sha256)))
    yield step(verb="push", title=f"{package}: bal push to {repository(site)}", actions=actions, verify=(Run(remembers),))


def _new(site: Site, host: str, directory: Path) -> Step:
    """A package from the template, fetched to this machine for its author; a later run pushes the package."""
    root, name = site.host(host).root, directory.name
    make = Run(ballerina.new_package(root, f"{root}/sources/new", name))
    fetch = Fetch(f"{root}/sources/new/{name}", str(directory), is_directory=True)
    title = f"bal new --template lib: {directory} (write the package, then run this again)"
    return Step(verb="new", about=name, host=host, title=title, actions=(make, fetch), reads="bal")
