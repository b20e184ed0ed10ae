"""The events of a run, their history, and the record that is sealed, signed and verified.

Only this room reads an event's keys. Nothing here changes a host.
"""
