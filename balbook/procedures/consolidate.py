"""Consolidate an application's packages into one project, exactly those of the inventory, and test it as a whole.

The tool has traps (exit status 0 where nothing was done, dropped versions, tables left behind), so the project is read again
after every call and compared with the wanted packages.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from balbook.artifacts.sources import Sources, tree_digest
from balbook.commands import ballerina
from balbook.commands.command import Command
from balbook.plan.model import Fetch, Plan, Precondition, Run, Step, Upload, ensured
from balbook.procedures import Check
from balbook.procedures.parts.bal_outputs import bal_outputs
from balbook.procedures.parts.preconditions import row
from balbook.procedures.parts.project import KEPT, Project, newer, project, repository_sources, wanted_packages, with_repository
from balbook.procedures.parts.site import Site
from balbook.record.journal import Journal
from balbook.show.table import Shown, Table


def preflight(site: Site) -> Table:
    """The packages in the project, and the wanted packages."""
    wanted, found = wanted_packages(site), project(site)
    offered = newer(site, found)
    rows = [
        (n, "yes" if n in wanted else "no", "yes" if n in found.services else "no", found.resolved.get(n, "-"), offered.get(n, "-"))
        for n in sorted({*wanted, *found.services})
    ]
    columns = ("package", "wanted", "in the project", "version", "newer")
    return Table(columns, rows, title=f"Consolidated project of {site.application_name}")


def plan(site: Site) -> Plan:
    """Bring the project from the repository, add and remove packages, resolve and test, and bring the result back."""
    wanted, there = wanted_packages(site), project(site)
    kept = repository_sources(site, there)
    found = with_repository(there, kept)
    offered, root = newer(site, found), site.host(found.host).root
    steps = [*_bring(there, kept, root), *_change(found, wanted, root)]
    is_settled = all(step.is_done for step in steps) and found.is_tested and not offered
    is_new = kept is None or any(step.verb == "consolidate new" for step in steps)
    steps += [_test(found, root, offered, is_settled), _take_back(found, is_settled, KEPT if is_new else KEPT[:2])]
    subject = {"packages": wanted, "newer": offered}
    return Plan("consolidate", site.application_name, tuple(steps), subject=subject, preconditions=tuple(_preconditions(site, found, root)))


def verify(site: Site, plan: Plan) -> Sequence[Check]:
    """The project has exactly the packages of the inventory, each resolved, and its tests passed on its present files."""
    found, wanted = project(site), wanted_packages(site)
    return [
        Check("the project has exactly the packages of the inventory", found.services == wanted, ", ".join(found.services)),
        *(Check(f"{name} is resolved", name in found.resolved, found.resolved.get(name, "-")) for name in wanted),
        Check("no removed package is left in a [[dependency]] table", not found.left_over, ", ".join(found.left_over)),
        Check("the project's tests passed on its present files", found.is_tested),
    ]


def evidence(site: Site, plan: Plan, run_dir: Path) -> Sequence[Shown]:
    """The output of `bal`, the counts of the tests, and the packages in the project."""
    return [*bal_outputs(plan, Journal(run_dir / "journal.jsonl")), preflight(site)]


def _preconditions(site: Site, found: Project, root: str) -> Iterator[Precondition]:
    has_tool = site.holds(found.host, ballerina.has_tool(root))
    yield row(f"{found.host}: the tool {ballerina.TOOL} is installed", has_tool, met_by="install")
    where = f"{found.repository}/Ballerina.toml"
    if found.exists:
        other = "" if found.is_consolidated else f"no table [[tool.{ballerina.TOOL}]] in the file: another project?"
        yield row(f"{where} belongs to a consolidated project", not other, other)
    if found.left_over:
        advice = f"remove the [[dependency]] tables without a service: {', '.join(found.left_over)}"
        yield row(f"{where} has no [[dependency]] table without a service", False, advice)


def _bring(there: Project, kept: Sources | None, root: str) -> Iterator[Step]:
    """Brings the repository's files to the host, where the host's differ."""
    if kept is None:
        return
    archive, digest = f"{root}/projects/{kept.sha256}.tar", tree_digest(kept.files)
    is_same = ballerina.has_tree_digest(there.place, digest)
    upload, unpack = Upload(str(kept.archive), kept.sha256, archive), ballerina.unpack(archive, there.place, kept.sha256, ("target",))
    title, is_done = f"bring the project from {there.repository}", there.digest == digest
    yield ensured("bring", there.host, title, is_same, upload, unpack, about="project", is_done=is_done)


def _change(found: Project, wanted: Sequence[str], root: str) -> Iterator[Step]:
    """`add` and `remove`, in an order that never empties the list, since `add` does nothing then; else `new`."""
    there = found.services
    doubled = {name for name in there if there.count(name) > 1}
    surplus = [name for name in dict.fromkeys(there) if name not in wanted or name in doubled]
    lacking = [name for name in wanted if name not in there or name in doubled]
    first = [name for name in lacking if name not in doubled] if set(surplus) == set(there) else []
    if not there or (set(surplus) == set(there) and not first):
        yield _tool_step(found, "new", wanted, ballerina.consolidate_new(root, found.place, list(wanted)), wanted)
        return
    standing = there
    for verb, names in (("add", first), ("remove", surplus), ("add", [name for name in lacking if name not in first])):
        if names:
            standing = [*standing, *names] if verb == "add" else [name for name in standing if name not in names]
            yield _tool_step(found, verb, names, ballerina.bal(root, found.place, ballerina.TOOL, verb, ",".join(names)), standing)


def _tool_step(found: Project, verb: str, names: Sequence[str], command: Command, standing: Sequence[str]) -> Step:
    """One call of the tool; right after it the project is read again."""
    has_all, title = ballerina.has_services(found.place, sorted(standing)), f"{ballerina.TOOL} {verb}: {', '.join(names)}"
    return ensured(f"consolidate {verb}", found.host, title, has_all, command, about=",".join(names), reads="bal")


def _test(found: Project, root: str, offered: Mapping[str, str], is_settled: bool) -> Step:
    """`bal test` resolves the packages and runs the integration tests; pins are left out where Central offers newer versions."""
    unpin = [ballerina.unpin(found.place)] if offered else []
    commands = (*unpin, ballerina.bal(root, found.place, "test"), ballerina.remember_digest(found.place))
    newest = f" with {', '.join(f'{name} {version}' for name, version in sorted(offered.items()))}" if offered else ""
    return Step(
        verb="test",
        about=found.place.rpartition("/")[2],
        host=found.host,
        title=f"bal test: resolve the packages{newest}, and run the integration tests",
        done=ballerina.is_tested(found.place) if is_settled else None,
        is_done=is_settled,
        actions=tuple(Run(command) for command in commands),
        verify=(Run(ballerina.is_tested(found.place)),),
        reads="bal",
    )


def _take_back(found: Project, is_settled: bool, names: Sequence[str]) -> Step:
    """Takes the files that the tool and the resolution wrote into the repository."""
    is_same = is_settled and all((found.repository / name).exists() for name in names)
    title, done = f"take the changed files back into {found.repository} (commit them)", ballerina.nothing() if is_same else None
    fetches = tuple(Fetch(f"{found.place}/{name}", str(found.repository / name)) for name in names)
    return Step("take back", found.host, title, fetches, about="project", done=done, is_done=is_same)
