"""`readmit`: returns a drained instance to service."""

from __future__ import annotations

from functools import partial

from balbook.cli import common

EXAMPLE = "balbook readmit hotel app1:9090"
ARGUMENTS = common.MAINTENANCE
run = partial(common.maintain, verb="readmit")
