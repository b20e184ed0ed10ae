"""The one loop that changes hosts: check, act, verify, undo; and the run's own process that it lives in.

`loop` applies a plan in its `order`, up to its `ending`; `actions` carries out one action; `worker` is the process; `process`
starts, watches and stops it. Nothing else changes a host, and nothing here knows what kind of
program the steps start, nor where the hosts come from.
"""
