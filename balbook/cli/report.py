"""`report`."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path

from balbook.cli import common
from balbook.procedures.report import since_of


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of `report`."""
    parser.epilog = "example: balbook report --since 90d --output report.html"
    common.add_inventory(parser)
    common.add_json(parser)
    parser.add_argument(
        "--since", default="", metavar="WHEN", help="a day (2026-01-31) or how long ago (90d, 12w); default: the first record"
    )
    parser.add_argument("--include-lab", action="store_true", help="count runs on a lab too")
    parser.add_argument("--include-plans", action="store_true", help="count plans among the runs too; they are no deployments")
    parser.add_argument("--environment", default="", metavar="NAME", help="count this environment alone (default: all of them together)")
    parser.add_argument("--output", type=Path, default=Path("report.html"), metavar="FILE", help="the page (default: report.html)")
    parser.set_defaults(run=report)


def report(args: argparse.Namespace) -> int:
    """Writes the page, and prints the measures."""
    now = datetime.now(UTC)
    since = since_of(args.since, now)
    inventory = common.inventory_of(args)
    records = inventory.resolve(inventory.records.path)
    from balbook.report.page import measures_table, read_report, write_page

    found = read_report(
        records, since=since, now=now, include_lab=args.include_lab, include_plans=args.include_plans, environment=args.environment
    )
    path = write_page(found, f"{inventory.environment}, {records}", args.output.expanduser())
    if args.json:
        common.print_json({**found.data(), "page": str(path)})
    else:
        print(measures_table(found, path))
    return 0
