"""Everything that will be done, as data: plans, steps, preconditions, settings; their canonical bytes and their tables.

Nothing here runs a command, looks at a host or reads a clock.
"""
