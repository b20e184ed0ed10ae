"""The public face for authors of runbooks: all that a procedure of a user's own needs.

Only names stand here, each from the room that it lives in, typed and explained there. Nothing is defined here, and nothing
in balbook imports it; a name that stands here stays, or goes with a line in the CHANGELOG.
"""

from balbook.commands import files as files
from balbook.commands.command import Command as Command
from balbook.commands.command import Result as Result
from balbook.commands.command import script as script
from balbook.errors import BadInput as BadInput
from balbook.errors import BalbookError as BalbookError
from balbook.errors import CommandFailed as CommandFailed
from balbook.errors import Failed as Failed
from balbook.errors import HostError as HostError
from balbook.errors import Inconclusive as Inconclusive
from balbook.errors import ParameterError as ParameterError
from balbook.errors import Refused as Refused
from balbook.errors import nearest as nearest
from balbook.facts import Fact as Fact
from balbook.facts.system import System as System
from balbook.facts.system import system as system
from balbook.inventory.models import Application as Application
from balbook.inventory.models import Balancer as Balancer
from balbook.inventory.models import Host as Host
from balbook.inventory.models import Instance as Instance
from balbook.inventory.models import Inventory as Inventory
from balbook.plan.model import CONTROLLER as CONTROLLER
from balbook.plan.model import Action as Action
from balbook.plan.model import Fetch as Fetch
from balbook.plan.model import Guard as Guard
from balbook.plan.model import Hold as Hold
from balbook.plan.model import Plan as Plan
from balbook.plan.model import Precondition as Precondition
from balbook.plan.model import Run as Run
from balbook.plan.model import Step as Step
from balbook.plan.model import Upload as Upload
from balbook.plan.model import Wait as Wait
from balbook.procedures import Check as Check
from balbook.procedures import Procedure as Procedure
from balbook.procedures.parts.site import Site as Site
from balbook.secrets.secret_ref import SecretRef as SecretRef
from balbook.show.table import Folded as Folded
from balbook.show.table import Shown as Shown
from balbook.show.table import Table as Table
from balbook.transport import Outcomes as Outcomes
from balbook.transport import Transport as Transport

__all__ = sorted(name for name in globals() if not name.startswith("_"))  # pyright: ignore[reportUnsupportedDunderAll]
