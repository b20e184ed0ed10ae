"""This machine: processes, files that are written whole, locks, names, templates, and where the project's own files are.

Nothing here knows an inventory, a host or a run.
"""
