"""JupyterLab on the runbooks: a folder of copies with an index, and a server that ends with the command that started it.

`forms/` is what a person sees inside a notebook. Nothing here applies a plan itself: that is the run's own process.
"""

from balbook.jupyter.notebooks_folder import prepare, write_index
from balbook.jupyter.server import Server, serve

__all__ = ["Server", "prepare", "serve", "write_index"]
