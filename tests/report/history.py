"""Months of records as runs leave them: builds, deployments, failures, rollbacks, drills. For tests of the report."""

from __future__ import annotations

import csv
import gzip
import json
import random
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from balbook.probe.samples import Sample, row
from balbook.record.journal import Journal
from tests.journals import writer

BEGIN = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
DAY = timedelta(days=1)


class History:
    """Writes run folders into `records`; every run's times are given, none is read from a clock."""

    def __init__(self, records: Path) -> None:
        self.records = records
        self._ids = count(0xA0000000)

    def run(
        self,
        runbook: str,
        at: datetime,
        seconds: float = 60,
        *,
        verdict: str = "succeeded",
        changes: int = 4,
        mode: str = "apply",
        subject: dict[str, Any] | None = None,
        has_begun: bool = True,
        exit_status: int | None = None,
        events: tuple[tuple[str, dict[str, Any]], ...] = (),
        applied: dict[str, Any] | None = None,
        **opened: Any,
    ) -> Path:
        run_id = f"{next(self._ids):x}"
        folder = self.records / f"{at:%Y%m%dT%H%M%SZ}-{runbook}-{run_id}"
        folder.mkdir(parents=True)
        times = iter((at, *(at + timedelta(seconds=seconds) for _ in range(20))))
        write = writer(Journal(folder / "journal.jsonl", now=lambda: next(times)))
        about = {"environment": "staging", "lab": False, "parameters": {"application": "hotel"}, **opened}
        write("run_opened", journal=1, run_id=run_id, runbook=runbook, name=runbook, mode=mode, **about)
        (folder / "plan.json").write_text(json.dumps({"runbook": runbook, "application": "hotel", "subject": subject or {}, "steps": []}))
        if mode == "apply" and has_begun:
            write("apply_started", digest="0" * 64)
            for name, fields in events:
                write(name, **fields)
            status = exit_status if exit_status is not None else 0 if verdict == "succeeded" else 1
            write("apply_finished", verdict=verdict, changes=changes, exit_status=status, **(applied or {}))
        if verdict:
            write("run_closed", verdict=verdict if mode == "apply" else "planned", why="")
        return folder

    def build(self, version: str, at: datetime, build_s: float = 30.0, *, kind: str = "jar", **options: Any) -> Path:
        shares = {"resolve packages": 0.2, "compile": 0.35, "generate code": 0.1, "run tests": 0.1, "write executable": 0.25}
        phases = {f"{name.replace(' ', '_')}_s": round(build_s * share, 3) for name, share in shares.items()}
        timed = ("timed", {"version": version, "kind": kind, "build_s": build_s, **phases})
        return self.run("build", at, build_s + 5, changes=1, subject={"version": version, "kind": kind}, events=(timed,), **options)

    def deploy(self, version: str, at: datetime, seconds: float = 40, **options: Any) -> Path:
        measured = ("measured", {"sent": 2000, "failed": 0, "latency": {"all": {"p99_ms": 12.0}}})
        return self.run("hot_deploy", at, seconds, subject={"version": version}, events=(measured,), **options)

    def drill(self, strategy: str, fault: str, at: datetime, failover_s: float, **options: Any) -> Path:
        subject = {"strategy": strategy, "balancer": "nginx", "fault": fault, "instance": "app1:9090"}
        folder = self.run("failover_drill", at, 20, changes=3, subject=subject, **options)
        probe = folder / "probe"
        probe.mkdir()
        marks = [(5.0, "during"), (5.0, "app1:9090 killed"), (12.0, "app1:9090 starting"), (14.0, "app1:9090 up"), (16.0, "after")]
        (probe / "phases.json").write_text(json.dumps([{"at_s": at_s, "name": name} for at_s, name in marks]))
        (probe / "summary.json").write_text("{}")
        with gzip.open(probe / "samples.csv.gz", "wt", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(Sample._fields)
            for i in range(180):
                at_s = i / 10
                is_slow = 5.0 < at_s <= 5.0 + failover_s
                instance = "app2:9090" if 5 <= at_s < 13.5 else f"app{i % 2 + 1}:9090"
                writer.writerow(row(Sample(i, "GET / fresh", at_s, 0.1, 900 if is_slow else 4, "ok", 200, instance, 1, "1", f"p-{i}")))
        return folder


def improving_months(records: Path, *, weeks: int = 16, is_worsening: bool = False) -> History:
    """A team that deploys more often, faster and more safely from week to week; or, turned round, less so."""
    history, chance = History(records), random.Random(7)
    number = 0
    for week in range(weeks):
        progress = week / (weeks - 1)
        progress = 1 - progress if is_worsening else progress
        for nth in range(round(1 + 3 * progress)):
            number += 1
            version = f"1.{number}.0+{number:08x}"
            built = BEGIN + DAY * (7 * week + 1.4 * nth) + timedelta(minutes=chance.randrange(300))
            kind = "native" if number % 4 == 0 else "jar"
            history.build(
                version, built, (150 if kind == "native" else 38) * (1.15 - 0.45 * progress) * chance.uniform(0.93, 1.07), kind=kind
            )
            deployed = built + timedelta(hours=(20 - 17 * progress) * chance.uniform(0.6, 1.4))
            if chance.random() < 0.5 - 0.42 * progress:
                history.deploy(version, deployed, verdict="failed", changes=0)
                deployed += timedelta(hours=(5 - 4 * progress) * chance.uniform(0.6, 1.6))
            history.deploy(version, deployed)
            if number % 6 == 2 and progress < 0.6:
                history.run("rollback", deployed + timedelta(hours=1.5), 20, subject={"version": "1.0.0"})
            history.deploy(version, deployed + timedelta(hours=5 * chance.uniform(0.5, 2)), environment="production")
        for strategy, fault, worst_s in (("active_active", "kill", 0.9), ("active_active", "hang", 4.2), ("active_passive", "kill", 1.6)):
            at = BEGIN + DAY * (7 * week + 4) + timedelta(minutes=5 * len(fault) + 3 * len(strategy))
            history.drill(strategy, fault, at, worst_s * (1.2 - 0.6 * progress) * chance.uniform(0.85, 1.15))
        history.run("hot_deploy", BEGIN + DAY * (7 * week), mode="plan", subject={"version": "9.9.9"})
        history.deploy("9.9.9", BEGIN + DAY * (7 * week + 2), verdict="failed", lab=True)
    return history
