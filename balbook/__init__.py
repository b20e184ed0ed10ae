"""Jupyter runbooks that deploy Ballerina applications to virtual machines, and prove what they did.

The names below are what runbooks use. They load when first used, so that importing balbook costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "BadInput": "balbook.errors",
    "BalbookError": "balbook.errors",
    "Failed": "balbook.errors",
    "Inconclusive": "balbook.errors",
    "Journal": "balbook.record.journal",
    "Plan": "balbook.plan.model",
    "Run": "balbook.run",
    "Table": "balbook.show.table",
    "build_plot": "balbook.report",
    "failover_plot": "balbook.report",
    "footprint_plot": "balbook.report",
    "latency_plot": "balbook.report",
    "load_inventory": "balbook.inventory",
    "open_run": "balbook.jupyter.forms",
    "report_page": "balbook.report",
}

__all__ = [
    "BadInput",
    "BalbookError",
    "Failed",
    "Inconclusive",
    "Journal",
    "Plan",
    "Run",
    "Table",
    "build_plot",
    "failover_plot",
    "footprint_plot",
    "latency_plot",
    "load_inventory",
    "open_run",
    "report_page",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'balbook' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
