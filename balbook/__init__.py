"""Jupyter runbooks that deploy Ballerina applications to virtual machines, and prove what they did.

The names below are what runbooks use; `balbook.authoring` has those that procedures use. They load when first used, so that
importing balbook costs nothing.
"""

from typing import TYPE_CHECKING

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
__all__ = sorted(_HOME)  # pyright: ignore[reportUnsupportedDunderAll]

if TYPE_CHECKING:  # the same, for those who read types; a test compares them
    from balbook.errors import BadInput as BadInput
    from balbook.errors import BalbookError as BalbookError
    from balbook.errors import Failed as Failed
    from balbook.errors import Inconclusive as Inconclusive
    from balbook.inventory import load_inventory as load_inventory
    from balbook.jupyter.forms import open_run as open_run
    from balbook.plan.model import Plan as Plan
    from balbook.record.journal import Journal as Journal
    from balbook.report import build_plot as build_plot
    from balbook.report import failover_plot as failover_plot
    from balbook.report import footprint_plot as footprint_plot
    from balbook.report import latency_plot as latency_plot
    from balbook.report import report_page as report_page
    from balbook.run import Run as Run
    from balbook.show.table import Table as Table
else:

    def __getattr__(name):
        if name not in _HOME:
            raise AttributeError(f"module 'balbook' has no attribute {name!r}")
        from importlib import import_module

        return getattr(import_module(_HOME[name]), name)
