"""The procedure of the runbook `my_runbook`: facts, plan and verification of a note on hosts. Write the purpose of yours here.

Nothing here changes a host. `plan` returns steps, each with its actions, a check whether the step is done already, and an undo;
balbook applies the steps once somebody has agreed to them.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from balbook.authoring import Check, Command, Plan, Run, Shown, Site, Step, Table, files, system


def preflight(site: Site) -> Table:
    """A table of read-only facts, for the reader."""
    found = site.ask_all(hosts_of(site), lambda host: system(site.host(host).root)).require()
    return Table(("host", "OS", "free disk"), [(host, about.os, f"{about.disk_mb:,} MB") for host, about in found.items()], title="Hosts")


def plan(site: Site) -> Plan:
    """The plan: a step for each host."""
    steps = tuple(step(site, host) for host in hosts_of(site))
    return Plan("my_runbook", "", steps, subject={"text": site.parameters["text"]})


def verify(site: Site, plan: Plan) -> Sequence[Check]:
    """The check of every step, made again after the plan was applied."""
    looked = [(step, site.transport.execute(step.host, step.done)) for step in plan.steps if step.done]
    return [Check(f"{step.host}: {step.title}", result.status == 0) for step, result in looked]


def evidence(site: Site, plan: Plan, run_dir: Path) -> Sequence[Shown]:
    """Tables for the record, beside the steps and their times."""
    return [preflight(site)]


def step(site: Site, host: str) -> Step:
    """The step for one host. Steps of one `unit` are undone together; steps of one `group` run at the same time."""
    path, text = f"{site.host(host).root}/notes/my_runbook", f"{site.parameters['text']}\n"
    done = files.is_there(path, hashlib.sha256(text.encode()).hexdigest(), is_privileged=True)
    return Step(
        verb="note",
        host=host,
        title="the note is there",
        unit=(host,),
        group="notes",
        done=done,
        is_done=site.transport.execute(host, done).status == 0,
        actions=(
            Run(files.make_directories([f"{site.host(host).root}/notes"], is_privileged=True)),
            Run(files.put_file(path, (text,), is_privileged=True)),
        ),
        verify=(Run(done),),
        undo=(Run(Command(("rm", "-f", path), is_privileged=True)),),
    )


def hosts_of(site: Site) -> list[str]:
    """The hosts that the parameters name, else all."""
    return list(site.parameters["hosts"]) or list(site.inventory.hosts)
