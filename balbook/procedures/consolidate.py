"""Consolidate an application's packages into one project, exactly those of the inventory, and test it as a whole.

The tool has traps (it exits 0 where it did nothing, drops versions, leaves tables behind), so its project is read again
after every call and held against what was asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from balbook.command import Command
from balbook.commands import ballerina
from balbook.journal import Journal
from balbook.plan import Fetch, Plan, Run, Step, Upload
from balbook.procedures import Check
from balbook.procedures.bal_outputs import test_table
from balbook.procedures.preconditions import row
from balbook.procedures.project import KEPT, Project, newer, project, repository_sources, wanted_packages
from balbook.procedures.site import Site
from balbook.sources import tree_digest
from balbook.table import Table


def preflight(site: Site) -> Table:
    """What is in the project, and what is wanted."""
    found, wanted, offered = project(site), wanted_packages(site), newer(site, project(site))
    names = sorted({*wanted, *found.services})
    rows = [
        (n, "yes" if n in wanted else "no", "yes" if n in found.services else "no", found.resolved.get(n, "-"), offered.get(n, "-"))
        for n in names
    ]
    return Table(
        ("package", "wanted", "in the project", "version", "newer"), rows, title=f"Consolidated project of {site.application_name}"
    )


def plan(site: Site) -> Plan:
    """Bring the project from the repository, add and remove packages, resolve and test, and bring it back."""
    found, wanted, offered = project(site), wanted_packages(site), newer(site, project(site))
    root = site.host(found.host).root
    steps = [
        *_bring(site, found, root),
        *_change(found, wanted, root),
        _test(found, root, wanted, bool(offered)),
        *_take_back(found, bool(offered) or not found.is_tested),
    ]
    has_tool = site.transport.execute(found.host, ballerina.has_tool(root)).status == 0
    rows = (row(f"{found.host}: the tool {ballerina.TOOL} is there", has_tool, otherwise="met by runbook install"),)
    return Plan("consolidate", site.application_name, tuple(steps), subject={"packages": wanted, "newer": offered}, preconditions=rows)


def verify(site: Site, plan: Plan) -> Sequence[Check]:
    """The project has exactly the packages of the inventory, each resolved, and its tests passed as it stands."""
    found, wanted = project(site), wanted_packages(site)
    return [
        Check("the project has exactly the packages of the inventory", found.services == wanted, ", ".join(found.services)),
        *(Check(f"{name} is resolved", name in found.resolved, found.resolved.get(name, "-")) for name in wanted),
        Check("its tests passed as it stands", found.is_tested),
    ]


def evidence(site: Site, plan: Plan, run_dir: Path) -> Sequence[Table]:
    """The counts of the tests, and what is in the project."""
    return [test_table(Journal(run_dir / "journal.jsonl").events()), preflight(site)]


def _bring(site: Site, found: Project, root: str) -> list[Step]:
    """The repository's files become the host's, where they differ."""
    kept = repository_sources(site, found)
    if kept is None:
        return []
    archive = f"{root}/projects/{kept.sha256}.tar"
    digest = tree_digest(kept.files)
    return [
        Step(
            id="bring project",
            host=found.host,
            title=f"the project from {found.repository}",
            done=_has_digest(found.place, digest),
            is_done=found.digest == digest,
            actions=(
                Upload(str(kept.archive), kept.sha256, archive),
                Run(ballerina.unpack(archive, found.place, kept.sha256, ("target",))),
            ),
            verify=(Run(_has_digest(found.place, digest)),),
        )
    ]


def _change(found: Project, wanted: Sequence[str], root: str) -> list[Step]:
    """`new` for a project that is not there, else `remove` and `add`; each verified by reading the project again."""
    if not found.exists and not (found.repository / "Ballerina.toml").exists():
        make = ballerina.consolidate_new(root, found.place, list(wanted))
        return [_tool_step(found, f"new: {', '.join(wanted)}", make, wanted, is_done=False)]
    there = found.services if found.exists else []
    surplus = [n for n in dict.fromkeys(there) if n not in wanted]
    lacking = [n for n in wanted if n not in there]
    if found.exists and surplus and len(surplus) == len(set(there)):
        # `add` does nothing once all are removed, so the new ones come first.
        order = [("add", lacking), ("remove", surplus)]
    else:
        order = [("remove", surplus), ("add", lacking)]
    steps, standing = [], list(dict.fromkeys(there))
    for verb, names in order:
        if names:
            standing = sorted({*standing, *names} if verb == "add" else {*standing} - {*names})
            command = ballerina.bal(root, found.place, ballerina.TOOL, verb, ",".join(names))
            steps.append(_tool_step(found, f"{verb}: {', '.join(names)}", command, standing, is_done=False))
    return steps


def _tool_step(found: Project, title: str, command: Command, standing: Sequence[str], *, is_done: bool) -> Step:
    return Step(
        id=f"consolidate {title.partition(':')[0]}",
        host=found.host,
        title=f"{ballerina.TOOL} {title}",
        done=ballerina.has_services(found.place, list(standing)),
        is_done=is_done,
        actions=(Run(command),),
        verify=(Run(ballerina.has_services(found.place, list(standing))),),
    )


def _test(found: Project, root: str, wanted: Sequence[str], has_newer: bool) -> Step:
    """`bal test` resolves the packages to the newest versions that fit, and runs the integration tests."""
    is_done = found.is_tested and found.services == list(wanted) and not has_newer
    return Step(
        id=f"test {found.place.rpartition('/')[2]}",
        host=found.host,
        title="bal test: resolve the packages and run the integration tests",
        done=_is_tested(found.place) if is_done else None,
        is_done=is_done,
        actions=(Run(ballerina.bal(root, found.place, "test")), Run(ballerina.remember_digest(found.place))),
        verify=(Run(_is_tested(found.place)),),
    )


def _take_back(found: Project, is_changed: bool) -> list[Step]:
    """The files that the tool and the resolution wrote, into the repository."""
    is_same = not is_changed and all((found.repository / name).exists() for name in KEPT[:3])
    return [
        Step(
            id="take project back",
            host=found.host,
            title=f"what changed, back into {found.repository} (commit it)",
            done=ballerina.nothing() if is_same else None,
            is_done=is_same,
            actions=tuple(Fetch(f"{found.place}/{name}", str(found.repository / name)) for name in KEPT),
        )
    ]


def _has_digest(place: str, digest: str) -> Command:
    return ballerina.has_tree_digest(place, digest)


def _is_tested(place: str) -> Command:
    return ballerina.is_tested(place)
