"""JupyterLab on the runbooks: a folder of copies with an index, and a server that ends with the command that started it."""

from balbook.jupyter.notebooks_folder import DEFAULT, prepare, write_index
from balbook.jupyter.server import Server, serve

__all__ = ["DEFAULT", "Server", "prepare", "serve", "write_index"]
