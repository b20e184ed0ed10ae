"""This machine: processes, files that are written whole, locks, names, templates, and the places of the project's own files.

Nothing here knows an inventory, a host or a run.
"""
