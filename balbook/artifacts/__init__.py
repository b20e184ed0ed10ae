"""Sources that travel to a build host, and what a build made: the artifact store, and registries behind one protocol.

Nothing here runs a build or reaches a host of the inventory.
"""
