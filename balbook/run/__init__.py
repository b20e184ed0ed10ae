"""`open_run`: what a notebook holds in its hand, from its first look to the verdict.

It stands above `procedures`, which it calls by the runbook's name, and hands their plans to the engine's process. Every
call is written to the journal of the run, whoever executes the notebook.
"""

from balbook.run.opening import open_run
from balbook.run.run import Run

__all__ = ["Run", "open_run"]
