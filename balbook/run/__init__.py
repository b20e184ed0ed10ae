"""The run of a runbook, from the first look at the facts to the verdict: `open_run` and `Run`.

This is the one room that opens and closes runs: in a notebook, headless, without a notebook, keyed, as a pipeline. It calls
`procedures` by the runbook's name and hands their plans to the engine's process. It never changes a host itself.
"""

from balbook.run.opening import open_run
from balbook.run.run import Run

__all__ = ["Run", "open_run"]
