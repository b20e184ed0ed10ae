"""The lease on an application: one deployment at a time, from whatever machine.

It lives on a host of the application, so two controllers see the same one. The holder renews it; a lease that nobody
renewed for `STALE_S` seconds is taken over, and who held it is recorded. A holder that could not renew it for `FENCE_S`
seconds gives up, with time left for what it has in hand.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from balbook import transport as transports
from balbook.commands import lease
from balbook.errors import BalbookError, Refused
from balbook.plan.settings import LeasePlace
from balbook.transport import Transport

HEARTBEAT_S = 5.0
STALE_S = 45
FENCE_S = 30.0


@dataclass(frozen=True)
class Holder:
    """The holder of a lease. `age_s`: seconds since its last heartbeat."""

    age_s: int
    run_id: str
    who: str
    since: str
    reason: str

    @property
    def is_stale(self) -> bool:
        return self.age_s > STALE_S


class Lease:
    """A lease that is held; `taken_from` is the stale holder that it was taken from, if any."""

    def __init__(self, transport: Transport, place: LeasePlace, lease_id: str, holder: Mapping[str, str]) -> None:
        self._transport, self._place, self._id = transport, place, lease_id
        self._renewed_s = time.monotonic()
        self.taken_from = acquire(transport, place, lease_id, holder)

    @property
    def silent_s(self) -> float:
        """How long its host may not have heard of us."""
        return time.monotonic() - self._renewed_s

    def renew(self) -> bool:
        """One heartbeat; False where the lease is another's by now, or nobody's. Raises HostError or DeadlineExceeded."""
        began_s = time.monotonic()
        result = self._transport.execute(self._place.host, lease.renew(self._place.directory, self._id))
        if result.status == 0:
            self._renewed_s = began_s
        return result.status != lease.NOT_OURS

    def lost(self) -> str:
        """Why it may be another's, asked of its host right now; empty: it is ours. Silence counts once it may be stale."""
        try:
            if not self.renew():
                other = show(self._transport, self._place)
                whose = f"is held by {other.who} (run {other.run_id})" if other else "was taken away"
                return f"the lock on {self._place.application} {whose}"
        except BalbookError:
            pass
        is_stale = self.silent_s > STALE_S
        return f"the lock on {self._place.application} could not be renewed for {self.silent_s:.0f} s" if is_stale else ""


@contextlib.contextmanager
def held(
    transport: Transport, place: LeasePlace, lease_id: str, holder: Mapping[str, str], on_lost: Callable[[str], None]
) -> Iterator[Lease]:
    """Holds the lease meanwhile, with a heartbeat.

    Raises Refused naming the holder. `on_lost` is called (from another thread) where the lease is lost, or will soon be.
    """
    mine = Lease(transport, place, lease_id, holder)
    stop = threading.Event()
    beat = threading.Thread(target=_renew, args=(mine, place, stop, on_lost), daemon=True)
    beat.start()
    threading.Thread(target=_fence, args=(mine, place, stop, on_lost), daemon=True).start()
    try:
        yield mine
    finally:
        stop.set()
        beat.join(timeout=HEARTBEAT_S)
        with contextlib.suppress(BalbookError):
            transport.execute(place.host, lease.release(place.directory, lease_id))


def acquire(transport: Transport, place: LeasePlace, lease_id: str, holder: Mapping[str, str]) -> Holder | None:
    """Takes the lease; returns the stale holder that it was taken from. Raises Refused where another holds it."""
    command = lease.acquire(place.directory, lease_id, holder, STALE_S)
    result = transports.run(transport, place.host, command)
    if result.status == 0:
        took = result.stdout.strip().removeprefix("took over ")
        return read_holder(took) if took else None
    other = read_holder(result.stdout)
    raise Refused(
        f"{place.application} is being deployed by {other.who} since {other.since} (run {other.run_id}, "
        f"reason: {other.reason or 'none given'}; last sign of life {other.age_s} s ago)",
        advice=f"Wait for it, stop it (balbook stop {other.run_id}), or take the lock away: "
        f"balbook unlock {place.application} --reason TEXT",
    )


def show(transport: Transport, place: LeasePlace) -> Holder | None:
    """The holder of the lease now."""
    result = transports.run(transport, place.host, lease.show(place.directory))
    return read_holder(result.stdout) if result.status == 0 else None


def release(transport: Transport, place: LeasePlace, lease_id: str) -> bool:
    """Gives the lease of this id back; False where it is another's by now."""
    return transports.run(transport, place.host, lease.release(place.directory, lease_id)).status == 0


def take_away(transport: Transport, place: LeasePlace) -> Holder | None:
    """Breaks the lease; returns who held it."""
    result = transports.run(transport, place.host, lease.break_lease(place.directory))
    return read_holder(result.stdout) if result.status == 0 else None


def read_holder(line: str) -> Holder:
    """Reads `AGE {json}`; what is missing stays empty."""
    age, _, rest = line.strip().partition(" ")
    try:
        data = json.loads(rest or "{}")
    except ValueError:
        data = {}
    return Holder(
        age_s=int(age) if age.isdigit() else 0,
        run_id=str(data.get("run_id", "?")),
        who=str(data.get("who", "?")),
        since=str(data.get("since", "?")),
        reason=str(data.get("reason", "")),
    )


def _renew(mine: Lease, place: LeasePlace, stop: threading.Event, on_lost: Callable[[str], None]) -> None:
    """A heartbeat that cannot be sent is tried again; one that is refused means that the lease was taken away."""
    while not stop.wait(HEARTBEAT_S):
        try:
            is_ours = mine.renew()
        except BalbookError:
            continue
        if not is_ours:
            on_lost(f"the lock on {place.application} was taken away")
            return


def _fence(mine: Lease, place: LeasePlace, stop: threading.Event, on_lost: Callable[[str], None]) -> None:
    """A holder that nobody hears gives up before others take the lease over; a heartbeat can hang, so this runs apart from it."""
    while not stop.wait(max(0.0, FENCE_S - mine.silent_s)):
        if mine.silent_s >= FENCE_S:
            on_lost(f"the lock on {place.application} could not be renewed for {FENCE_S:g} s")
            return
