"""A procedure of a user's own, as mypy and pyright read it. Nothing here runs; a line marked as wrong must stay wrong for both."""

from collections.abc import Sequence
from pathlib import Path

from balbook.authoring import BadInput, Check, Command, Failed, Plan, Procedure, Run, Shown, Site, Step, System, Table, Wait, script, system


def preflight(site: Site) -> Table:
    found: dict[str, System] = site.ask_all(site.inventory.hosts, lambda host: system(site.host(host).root)).require()
    return Table(("host", "OS"), [(host, about.os) for host, about in found.items()])


def plan(site: Site) -> Plan:
    if not site.parameters["hosts"]:
        raise BadInput("no hosts are named", advice="Name one.")
    return Plan("rotate_logs", "", tuple(step(host) for host in site.inventory.hosts))


def step(host: str) -> Step:
    done = script("is-rotated", 'test -s "$1"', "/var/log/hotel.1", is_privileged=True)
    rotate = Command(("logrotate", "/etc/logrotate.d/hotel"), deadline_s=60)
    actions = (Run(rotate), Wait(done, within_s=5))
    return Step(verb="rotate", host=host, title="logs are rotated", done=done, actions=actions, verify=(Run(done),))


def verify(site: Site, plan: Plan) -> Sequence[Check]:
    return [Check(step.title, site.transport.execute(step.host, step.done).status == 0) for step in plan.steps if step.done]


def evidence(site: Site, plan: Plan, run_dir: Path) -> Sequence[Shown]:
    return [preflight(site)]


class Wrong:
    def preflight(self, site: Site) -> str:
        return "a table"


def mistakes(site: Site, host: str) -> Procedure:
    Step(verb="rotate", host=host, title="lacks what is done")  # type: ignore[call-arg]
    Step(verb="rotate", host=host, title="a line for a shell", actions=("rm -rf /tmp/x",))  # type: ignore[arg-type]
    Step(verb="rotate", host=host, title="a unit of one letter each", actions=(), unit=host)  # type: ignore[arg-type]
    Run("rm -rf /tmp/x")  # type: ignore[arg-type]
    Command("rm -rf /tmp/x")  # type: ignore[arg-type]
    site.transport.excute(host, Command(("true",)))  # type: ignore[attr-defined]
    print(site.host(host).rooot)  # type: ignore[attr-defined]
    Failed("no advice by position", "Do this.")  # type: ignore[call-arg]
    return Wrong()  # type: ignore[return-value]
