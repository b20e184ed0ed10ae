"""Test, pack and push packages from their source repositories: the CI side of the guide.

A package's sources are a directory or a commit of a git repository, read on this machine and brought to the build host;
a directory that is not there yet is made by `bal new`. A version that is published already is left alone where its sources
are the same; where they differ, the version must rise.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
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
    """BadInput where `packages` or `repository` cannot be."""
    named(inventory, parameters)


def preflight(site: Site) -> Table:
    """The packages, and what the repository has of them."""
    found = look(site)
    rows = [(str(p.package), p.sources.origin, p.published) for p in found.packed]
    rows += [("-", str(directory), "not written yet") for directory in found.new]
    return Table(("package", "sources", "in the repository"), rows, title=f"Packages for {repository(site)}")


def plan(site: Site) -> Plan:
    """Bring the sources, test, pack, push; packages side by side."""
    host, found = build_host(site), look(site)
    has_bal = site.transport.execute(host, ballerina.has_bal(site.host(host).root)).status == 0
    rows = [row(f"{host}: bal is there", has_bal, met_by="install")]
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
    """The repository has every package now; new ones are there to be written."""
    new, planned = list(plan.subject["new"]), plan.subject["packages"]
    found = [p for p in look(site).packed if p.package.full_name in planned]
    made = [Check(f"{directory} is a package, to be written", (Path(directory) / "Ballerina.toml").is_file()) for directory in new]
    return [Check(f"{p.package} is published from these sources", p.published == "same", p.published) for p in found] + made


def evidence(site: Site, plan: Plan, run_dir: Path) -> Sequence[Shown]:
    """What `bal` said, the counts of the tests, and the packages."""
    return [*bal_outputs(plan, Journal(run_dir / "journal.jsonl")), preflight(site)]


def _publishable(packed: Packed) -> Precondition:
    if packed.published == "other":
        return row(f"{packed.package} is not published yet", False, "it is, from other sources: raise the version in Ballerina.toml")
    return row("Central says what it has", False, packed.published)


def _token(site: Site) -> Precondition:
    """`bal push` without a token opens a browser and waits for ever, so it is looked for before the call."""
    what, reference = "Central's access token is there", site.inventory.central.token
    if not reference:
        return row(what, False, "the inventory has no central.token: add a reference such as env:BALLERINA_CENTRAL_ACCESS_TOKEN")
    try:
        resolve(reference, os.environ, base=site.inventory.path.parent)
    except BalbookError as exc:
        return row(what, False, exc.message)
    return row(what, True, reference)


def _steps(site: Site, host: str, packed: Packed) -> Iterator[Step]:
    """Four steps in the package's own lane; they run beside those of the other packages."""
    root, package, found = site.host(host).root, packed.package, packed.sources
    place, archive = f"{root}/sources/{package.org}/{package.name}", f"{root}/sources/{found.sha256}.tar"
    record = record_of(site, package)
    # What is published already was seen from this machine: there may be no record of it on the host.
    is_done = packed.published == "same"
    remembers = None if packed.published == "lost" else ballerina.remembers(record, found.sha256)
    done = ballerina.nothing() if is_done else remembers

    def step(verb: str, title: str, actions: Sequence[Any], verify: Sequence[Any] = ()) -> Step:
        return Step(
            verb=verb,
            about=package.full_name,
            host=host,
            title=f"{package}: {title}",
            actions=tuple(actions),
            group="packages",
            lane=package.full_name,
            done=done,
            is_done=is_done,
            verify=tuple(verify),
            reads="bal",
        )

    unpack = Run(ballerina.unpack(archive, place, found.sha256))
    yield step("sources", f"sources from {found.origin}", (Upload(str(found.archive), found.sha256, archive), unpack))
    yield step("test", "bal test", (Run(ballerina.bal(root, place, "test")),))
    yield step("pack", "bal pack", (Run(ballerina.bal(root, place, "pack")),))
    if repository(site) == "central":
        push = ballerina.push(root, place, site.inventory.central.token or "")
    else:
        push = ballerina.bal(root, place, "push", "--repository=local", within_s=ballerina.PUSH_S)
    remember = Run(ballerina.remember(record, found.sha256))
    yield step("push", f"bal push to {repository(site)}", (Run(push), remember), (Run(ballerina.remembers(record, found.sha256)),))


def _new(site: Site, host: str, directory: Path) -> Step:
    """A package from the template, which comes back to this machine to be written; it is pushed by a later run."""
    root = site.host(host).root
    return Step(
        verb="new",
        about=directory.name,
        host=host,
        title=f"bal new --template lib: {directory} (write it, then run this again)",
        actions=(
            Run(ballerina.new_package(root, f"{root}/sources/new", directory.name)),
            Fetch(f"{root}/sources/new/{directory.name}", str(directory), is_directory=True),
        ),
        reads="bal",
    )
