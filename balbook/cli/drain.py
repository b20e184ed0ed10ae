"""`drain`: takes one instance out of service."""

from __future__ import annotations

from functools import partial

from balbook.cli import common

EXAMPLE = "balbook drain hotel app1:9090 --reason 'new disk'"
ARGUMENTS = common.MAINTENANCE
run = partial(common.maintain, verb="drain")
