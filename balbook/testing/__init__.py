"""Doubles for tests: a transport that answers from a script, and a fleet of hosts that live in memory.

    transport = FakeTransport({"is-release": 1, "switch": Result(0)})       by the script's name, on any host
    transport = FakeTransport({("app1", "switch"): HostUnreachable("app1", "no route")})
    fleet = FakeFleet(inventory)                                            carries the commands out, and watches

A fleet checks two invariants after every command and raises `InvariantBroken` where one does not hold: the capacity floor, after
it was reached once, and a configuration in force that balbook rendered whole. `Died` stands for a controller that is killed; no
code of balbook catches it.
"""

from balbook.testing.fake_fleet import FakeFleet, InvariantBroken
from balbook.testing.hosts import FakeHost
from balbook.testing.transport import Died, DyingJournal, FakeTransport, arguments_of, name_of, text_of

__all__ = ["Died", "DyingJournal", "FakeFleet", "FakeHost", "FakeTransport", "InvariantBroken", "arguments_of", "name_of", "text_of"]
