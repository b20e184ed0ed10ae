"""The open-loop HTTP probe: what clients see while hosts change, and whether that can be trusted.

`ProbeProcess` runs it in a process of its own (`python -m balbook.probe`), `read_findings` reads what it left.
It only sends requests and writes samples; it never decides what happens to a rollout.
"""

from balbook.probe.client import ProbeProcess, read_config, read_findings
from balbook.probe.config import ProbeConfig, Stream, config_from, streams_from
from balbook.probe.judge import Findings, Latency, acknowledged_posts, judge_posts

__all__ = [
    "Findings",
    "Latency",
    "ProbeConfig",
    "ProbeProcess",
    "Stream",
    "acknowledged_posts",
    "config_from",
    "judge_posts",
    "read_config",
    "read_findings",
    "streams_from",
]
