"""A disposable fleet for rehearsing: on loopback or as virtual machines, with a stand-in for `bal` and for Central.

Nothing but the command line and the tests uses it; no real host ever gets anything of it.
"""
