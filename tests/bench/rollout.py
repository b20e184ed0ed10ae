"""Rolling deployments in a row under load, each strategy on the loopback lab: `rollout.py [FRESH] [RATE] [STRATEGY …]`.

A probe of its own sends RATE requests/s (200), a half on fresh connections and a half on kept ones, GET and POST, while release
after release is deployed: at least three, and until FRESH (10,000) requests on fresh connections are sent. Then a rollback.
Prints a row per strategy and exits 1 naming the rows that missed. Before them, as it is done without balbook: the instances behind the
guide's NGINX and behind a HAProxy with plain checks are restarted one after the other, each as soon as the one before listens again.
"""

from __future__ import annotations

import asyncio
import dataclasses
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from balbook import transport as transports
from balbook.commands import process
from balbook.probe.client import ProbeProcess
from balbook.probe.config import ProbeConfig, Stream
from balbook.probe.judge import Findings, acknowledged_posts, judge_posts
from balbook.probe.samples import CLOSED_BY_RELOAD, Sample, read_samples
from tests.bench.failover import guide, httpchk
from tests.integration.balancer_rig import Load, Rig
from tests.integration.rollout_lab import RolloutLab, events, measured
from tests.journals import Line

ROWS = {
    "active_active": ("nginx", "active_active"),
    "active_passive": ("nginx", "active_passive"),
    "active_active_checked": ("haproxy", "active_active_checked"),
    "active_passive haproxy": ("haproxy", "active_passive"),
}
PEERS = {"guide, restarts": guide, "httpchk, restarts": httpchk}
VERSIONS = ("2.0.0", "1.0.0")
"""Deployed in turn, after a first 1.0.0."""
LEAST_DEPLOYMENTS = 3
BASELINE_S = 8
SETTINGS: dict[str, Any] = {"probe": {"rate": 50, "requests": [{"method": "GET", "path": "/rooms"}]}}
HEAD = (
    f"{'strategy':<24}{'deployments':>12}{'fresh':>8}{'failed':>8}{'kept':>8}{'failed':>8}{'by reload':>10}{'twice':>7}"
    f"{'p99 before':>12}{'during':>9}{'deploy s':>10}{'back s':>8}"
)


@dataclass(frozen=True)
class Row:
    """What one strategy came to."""

    name: str
    kind: str
    deployments: int
    reloads: int
    samples: list[Sample]
    findings: Findings
    twice: int
    deploy_s: float
    back_s: float
    back: Line
    """What the rollback's own probe measured."""

    def count(self, kept: bool, failed: bool = False) -> int:
        return sum(s.stream.endswith("keep-alive") == kept and (s.is_failed or not failed) for s in self.samples)

    @property
    def closed(self) -> int:
        return sum(s.kind == CLOSED_BY_RELOAD for s in self.samples)

    def p99(self, phase: str) -> float:
        return self.findings.latency[phase].p99_ms or 0.0

    def __str__(self) -> str:
        fresh, kept = f"{self.count(False):>8,}{self.count(False, True):>8}", f"{self.count(True):>8,}{self.count(True, True):>8}"
        latency = f"{self.p99('before'):>12.1f}{self.p99('during'):>9.1f}"
        seconds = f"{self.deploy_s:>10.1f}{self.back_s:>8.1f}"
        return f"{self.name:<24}{self.deployments:>12}{fresh}{kept}{self.closed:>10}{self.twice:>7}{latency}{seconds}"

    def missed(self, least_fresh: int) -> list[str]:
        limit = max(3 * self.p99("before"), 25.0)
        found = [
            (self.count(False) < least_fresh, f"{self.count(False)} requests on fresh connections"),
            (self.count(False, True) > 0, f"{self.count(False, True)} failed on fresh connections"),
            (self.count(True, True) > 0, f"{self.count(True, True)} failed on kept connections"),
            (self.closed > (0 if self.kind == "haproxy" else self.reloads / 10), f"{self.closed} closed by {self.reloads} reloads"),
            (self.twice > 0, f"{self.twice} POST executed twice, or acknowledged and never executed"),
            (self.p99("during") > limit, f"p99 during is {self.p99('during'):.1f} ms, {limit:.1f} ms are allowed"),
            (self.back_s > self.deploy_s / 2, f"a rollback took {self.back_s:.1f} s, a deployment {self.deploy_s:.1f} s"),
            (bool(self.findings.trust), f"the figures cannot be trusted: {'; '.join(self.findings.trust)}"),
        ]
        return [text for is_missed, text in found if is_missed]


def main() -> int:
    words = sys.argv[1:]
    least_fresh, rate = int((words or ["10000"])[0]), float((words[1:] or ["200"])[0])
    print(f"rolling deployments at {rate:.0f} requests/s on fresh and kept connections, 2 instances\n{HEAD}")
    for name, begin in PEERS.items() if not words[2:] else ():
        print(restarted(name, begin, rate), flush=True)
    missed = []
    for name in words[2:] or ROWS:
        row = measure(name, *ROWS[name], least_fresh, rate)
        print(row, flush=True)
        missed += [f"{name}: {what}" for what in row.missed(least_fresh)]
    for text in missed:
        print(f"missed: {text}")
    return 1 if missed else 0


def measure(
    name: str,
    kind: str,
    strategy: str,
    least_fresh: int,
    rate: float,
    *,
    apps: int = 2,
    fresh_share: float = 1,
    baseline_s: float = BASELINE_S,
    own_baseline_s: float = 2,
) -> Row:
    """`fresh_share`: requests on fresh connections for each on a kept one. `own_baseline_s`: of the probe of each deployment."""
    settings = {"probe": {**SETTINGS["probe"], "baseline_s": own_baseline_s}}
    lab = RolloutLab(kind=kind, strategy=strategy, apps=apps, application=settings)
    try:
        lab.up()
        lab.deploy("1.0.0")
        with ProbeProcess(_config(lab, rate, fresh_share)) as probe:
            time.sleep(baseline_s)
            probe.phase("during")
            deployments, deploy_s = _deploy(lab, probe, 1.03 * least_fresh * (1 + 1 / fresh_share))
            probe.phase("after")
            time.sleep(2)
            findings = probe.stop()
        samples = list(read_samples(probe.out_dir))
        twice = _wrong_posts(lab, samples, probe.config)
        began = time.monotonic()
        stated, back = lab.apply("rollback", release="")
        assert stated.verdict == "succeeded", stated
        back_s = time.monotonic() - began
        assert set(lab.releases().values()) == {VERSIONS[deployments % 2]}, "not the release before the last"
        reloads = deployments * 2 * lab.apps if kind == "nginx" else 0
        return Row(name, kind, deployments, reloads, samples, findings, twice, deploy_s, back_s, measured(back))
    finally:
        lab.down()


def restarted(name: str, begin: Callable[[Path], AbstractContextManager[Rig]], rate: float) -> str:
    """A row of somebody else's configuration: both instances are restarted three times, with nothing but a graceful stop."""

    def restart() -> None:
        for _ in range(LEAST_DEPLOYMENTS):
            for backend in rig.instances:
                backend.stop()
                backend.start()
                time.sleep(1)

    async def under_load_of_both() -> None:
        sending = [asyncio.create_task(load.go_on()) for load in loads]
        await asyncio.sleep(1)
        await asyncio.to_thread(restart)
        await asyncio.sleep(1)
        for load in loads:
            load.is_ended = True
        await asyncio.gather(*sending)

    with tempfile.TemporaryDirectory(prefix="bb-") as folder, begin(Path(folder)) as rig:
        kinds = [("GET", "/", True), ("POST", "/orders", True), ("GET", "/", False), ("POST", "/orders", False)]
        loads = [Load(rig.listen, rate / 4, method, path, fresh, name=f"{method}{fresh}") for method, path, fresh in kinds]
        asyncio.run(under_load_of_both())
        executed = [i for backend in rig.instances for i in backend.executed()]
    fresh, kept = ([a for load in loads if load.is_fresh == is_fresh for a in load.answers] for is_fresh in (True, False))
    counts = "".join(f"{len(answers):>8,}{sum(a.is_failed for a in answers):>8}" for answers in (fresh, kept))
    return f"{name:<24}{LEAST_DEPLOYMENTS:>12}{counts}{'-':>10}{len(executed) - len(set(executed)):>7}{'-':>12}{'-':>9}{'-':>10}{'-':>8}"


def _deploy(lab: RolloutLab, probe: ProbeProcess, least: float) -> tuple[int, float]:
    """Until so many requests are sent: how many deployments there were, and the seconds of the last one."""
    number, seconds = 0, 0.0
    while number < LEAST_DEPLOYMENTS or probe.progress().get("sent", 0) < least:
        began = time.monotonic()
        record = lab.deploy(VERSIONS[number % 2])
        assert events(record, "apply_finished")
        number, seconds = number + 1, time.monotonic() - began
    return number, seconds


def _config(lab: RolloutLab, rate: float, fresh_share: float) -> ProbeConfig:
    kinds = [Stream("GET", "/rooms"), Stream("POST", "/bookings", '{"id":"{id}"}', has_logged_id=True)]
    connections = ((False, fresh_share), (True, 1.0))
    hosts = lab.inventory.hosts
    return ProbeConfig(
        host="127.0.0.1",
        port=lab.lab.ports["lb1.listen"],
        out_dir=str(lab.folder / "bench-probe"),
        streams=tuple(dataclasses.replace(kind, is_keepalive=kept, share=share) for kind in kinds for kept, share in connections),
        rate=rate,
        run_id="bench",
        instances={f"{hosts[i.host].address}:{i.port}": i.name for i in lab.inventory.applications["hotel"].instances},
    )


def _wrong_posts(lab: RolloutLab, samples: list[Sample], config: ProbeConfig) -> int:
    """POSTs that were executed more than once, or acknowledged and never executed."""
    site = lab.site()
    executed: Counter[str] = Counter()
    try:
        for host in site.application_hosts:
            places = [site.instance_dir(i) for i in site.application.instances if i.host == host]
            text = transports.run(site.transport, host, process.executed_ids(config.run_id, places)).stdout
            for count, _, name in (line.strip().partition(" ") for line in text.splitlines()):
                executed[name] += int(count)
    finally:
        site.transport.close()
    counted: Mapping[str, int] = executed
    missing, duplicate = judge_posts(acknowledged_posts(samples, config), counted)
    return len(missing) + len(duplicate)


if __name__ == "__main__":
    sys.exit(main())
