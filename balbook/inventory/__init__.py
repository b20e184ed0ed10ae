"""The inventory: models of hosts, applications and balancers, and the loader that explains what is wrong with the file.

Reading it reaches no host and reads no secret.
"""

from balbook.inventory.load import digest_of, find_inventory, load_inventory, read_inventory
from balbook.inventory.models import Inventory

__all__ = ["Inventory", "digest_of", "find_inventory", "load_inventory", "read_inventory"]
