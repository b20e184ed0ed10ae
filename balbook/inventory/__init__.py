"""What a user wrote about hosts, applications and balancers: models, and the loader that explains what is wrong."""

from balbook.inventory.load import digest_of, find_inventory, inventory_schema, load_inventory, read_inventory
from balbook.inventory.models import Application, Balancer, Host, Instance, Inventory

__all__ = [
    "Application",
    "Balancer",
    "Host",
    "Instance",
    "Inventory",
    "digest_of",
    "find_inventory",
    "inventory_schema",
    "load_inventory",
    "read_inventory",
]
