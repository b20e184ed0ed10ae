"""The engine's settings beside a plan's steps: whose lock is taken, which limits end the rollout, which requests are sent meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from balbook.inventory.models import ProbeRequest


@dataclass(frozen=True)
class LeasePlace:
    """Where an application's lease lives."""

    application: str
    host: str
    directory: str


@dataclass(frozen=True)
class RolloutSettings:
    """How much a failure undoes, and the limits that end the rollout; None: no limit."""

    on_failure: Literal["pause", "rollback"] = "pause"
    deadline_s: float | None = None
    max_p99_ratio: float | None = None


@dataclass(frozen=True)
class ProbeSettings:
    """The requests to the application while its hosts are changed: where, how often.

    `instances` by the address that the balancer names; `logs`: where each host's instances log. `must_reach`: the instances that
    requests come to see; None: all. `judged_methods`: the failures that count; None: all, and too many end the rollout.
    `is_gate`: what is measured decides on the verdict.
    """

    host: str
    port: int
    rate: int
    timeout_s: float
    max_failed: int
    baseline_s: float
    after_s: float
    requests: tuple[ProbeRequest, ...]
    host_header: str
    health_path: str
    health_expect: int
    instances: Mapping[str, str]
    logs: Mapping[str, tuple[str, ...]]
    must_reach: tuple[str, ...] | None = None
    judged_methods: tuple[str, ...] | None = None
    is_gate: bool = True


@dataclass(frozen=True)
class Settings:
    """`downtime`: instances without a balancer, of which it is measured. `on_resume`: the verbs that are left to do then; empty: all."""

    lease: LeasePlace | None = None
    rollout: RolloutSettings = field(default_factory=RolloutSettings)
    probe: ProbeSettings | None = None
    downtime: tuple[str, ...] = ()
    on_resume: tuple[str, ...] = ()
