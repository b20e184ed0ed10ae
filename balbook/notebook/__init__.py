"""A runbook as a file: its cells, its parameters, what running has left in it, and the kernel that executes it.

Notebooks are read as text and never executed here.
"""
