"""`report`: writes a page of measures over all records."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path

from balbook.cli import common
from balbook.procedures.report import since_of
from balbook.report.page import measures_table, read_report, write_page

EXAMPLE = "balbook report --since 90d --output report.html"
ARGUMENTS = (
    common.INVENTORY,
    common.JSON,
    common.argument("--since", default="", metavar="WHEN", help="a day (2026-01-31) or an age (90d, 12w); default: the first record"),
    common.argument("--include-lab", action="store_true", help="count runs on a lab too"),
    common.argument("--include-plans", action="store_true", help="count plans among the runs too; plans are no deployments"),
    common.argument("--environment", default="", metavar="NAME", help="count only this environment (default: all together)"),
    common.argument("--output", type=Path, default=Path("report.html"), metavar="FILE", help="the page (default: report.html)"),
)


def run(args: argparse.Namespace) -> int:
    """Writes the page and prints the measures."""
    now = datetime.now(UTC)
    since = since_of(args.since, now)
    inventory = common.inventory_of(args)
    records = inventory.resolve(inventory.records.path)
    wanted = {"include_lab": args.include_lab, "include_plans": args.include_plans, "environment": args.environment}
    found = read_report(records, since=since, now=now, **wanted)
    path = write_page(found, f"{inventory.environment}, {records}", args.output.expanduser())
    common.show(args, {**found.data(), "page": str(path)}, measures_table(found, path))
    return 0
