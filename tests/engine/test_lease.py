"""The lease on an application, by the real script on this machine."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from balbook.commands import lease
from balbook.commands.command import Command, Result
from balbook.engine import lease as lock
from balbook.errors import HostUnreachable, Refused
from balbook.plan.settings import LeasePlace
from balbook.testing import FakeTransport, text_of

HOLDER = {"run_id": "r1", "who": "ann@laptop", "since": "09:00", "reason": "new prices; $(id) 'quoted'"}


def here(host: str, command: Command) -> Result:
    """Runs a command on this machine, through a shell as a transport does."""
    done = subprocess.run(["sh", "-c", command.line()], input=text_of(command), capture_output=True, text=True, timeout=60, check=False)
    return Result(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def place(tmp_path: Path) -> LeasePlace:
    return LeasePlace("hotel", "lb1", str(tmp_path / "locks" / "hotel"))


@pytest.fixture
def transport() -> FakeTransport:
    return FakeTransport(otherwise=here)


def grow_old(place: LeasePlace, seconds: int = 1000) -> None:
    """As if its holder had died; seen from this boot, and by the clock."""
    heartbeat = Path(place.directory) / "heartbeat"
    if said := heartbeat.read_text().split():
        heartbeat.write_text(f"{said[0]} {int(said[1]) - seconds}\n")
    set_back(heartbeat, seconds)


def set_back(heartbeat: Path, seconds: int) -> None:
    """The time of the file alone: what a clock that is set does to it."""
    long_ago = time.time() - seconds
    os.utime(heartbeat, (long_ago, long_ago))


def all_at_once(work: Callable[[str], Result], count: int) -> list[Result]:
    """Real processes side by side."""
    results: list[Result] = []
    threads = [threading.Thread(target=lambda n=n: results.append(work(f"run{n}"))) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results


def test_a_clock_that_jumps_makes_no_lease_stale(transport: FakeTransport, place: LeasePlace) -> None:
    lock.acquire(transport, place, "r1", HOLDER)
    for jump in (7200, -7200):
        set_back(Path(place.directory) / "heartbeat", jump)
        with pytest.raises(Refused, match=r"last sign of life [0-9] s ago"):
            lock.acquire(transport, place, "r2", {**HOLDER, "run_id": "r2"})


def test_after_a_reboot_of_its_host_the_clock_says_how_old_a_lease_is(transport: FakeTransport, place: LeasePlace) -> None:
    lock.acquire(transport, place, "r1", HOLDER)
    heartbeat = Path(place.directory) / "heartbeat"
    heartbeat.write_text("another-boot 99999999\n")
    with pytest.raises(Refused):
        lock.acquire(transport, place, "r2", {**HOLDER, "run_id": "r2"})
    set_back(heartbeat, 1000)
    assert lock.acquire(transport, place, "r2", {**HOLDER, "run_id": "r2"}) is not None


def test_the_second_is_refused_and_told_who_holds_it_since_when_and_why(transport: FakeTransport, place: LeasePlace) -> None:
    assert lock.acquire(transport, place, "r1", HOLDER) is None
    with pytest.raises(Refused) as caught:
        lock.acquire(transport, place, "r2", {**HOLDER, "run_id": "r2"})
    assert all(text in str(caught.value) for text in ("ann@laptop", "09:00", "new prices; $(id) 'quoted'", "balbook unlock hotel", "r1"))


def test_the_holder_may_take_it_again(transport: FakeTransport, place: LeasePlace) -> None:
    lock.acquire(transport, place, "r1", HOLDER)
    assert lock.acquire(transport, place, "r1", HOLDER) is None


def test_of_many_at_once_one_wins(place: LeasePlace) -> None:
    results = all_at_once(lambda run: here("", lease.acquire(place.directory, run, HOLDER, 45)), 12)
    assert sorted(r.status for r in results) == [0] + [lease.HELD] * 11


def test_a_stale_lease_is_taken_over_and_its_holder_is_told(transport: FakeTransport, place: LeasePlace) -> None:
    lock.acquire(transport, place, "r1", HOLDER)
    grow_old(place)
    old = lock.acquire(transport, place, "r2", {**HOLDER, "run_id": "r2"})
    assert old is not None
    assert (old.run_id, old.is_stale) == ("r1", True)
    assert here("", lease.renew(place.directory, "r1")).status == lease.NOT_OURS
    assert here("", lease.renew(place.directory, "r2")).status == 0


def test_of_many_that_find_it_stale_one_takes_it_over(transport: FakeTransport, place: LeasePlace) -> None:
    for number in range(4):
        lock.acquire(transport, place, f"old{number}", HOLDER)
        grow_old(place)
        results = all_at_once(lambda run: here("", lease.acquire(place.directory, run, HOLDER, 45)), 8)
        assert sorted(r.status for r in results) == [0] + [lease.HELD] * 7
        assert here("", lease.break_lease(place.directory)).status == 0


def test_one_who_judged_it_stale_but_comes_late_does_not_take_the_winners(place: LeasePlace, tmp_path: Path) -> None:
    """The late one is held between its last look and its move, by an `mv` of the test's that waits for the winner."""
    here("", lease.acquire(place.directory, "old", HOLDER, 45))
    grow_old(place)
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "mv").write_text(f'#!/bin/sh\n: > {tmp_path}/waits\nwhile [ ! -e {tmp_path}/go ]; do sleep 0.01; done\nexec /bin/mv "$@"\n')
    (programs / "mv").chmod(0o755)
    command = lease.acquire(place.directory, "late", HOLDER, 45)
    path = {"PATH": f"{programs}:{os.environ['PATH']}"}
    late = subprocess.Popen(command.argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env={**os.environ, **path})
    assert late.stdin is not None
    late.stdin.write(text_of(command))
    late.stdin.close()
    until(lambda: (tmp_path / "waits").exists())
    assert here("", lease.acquire(place.directory, "winner", HOLDER, 45)).status == 0
    (tmp_path / "go").touch()
    assert late.wait(20) == lease.HELD
    assert here("", lease.renew(place.directory, "winner")).status == 0


def test_a_heartbeat_keeps_it_fresh(transport: FakeTransport, place: LeasePlace) -> None:
    lock.acquire(transport, place, "r1", HOLDER)
    grow_old(place)
    assert here("", lease.renew(place.directory, "r1")).status == 0
    with pytest.raises(Refused):
        lock.acquire(transport, place, "r2", HOLDER)


def test_only_its_holder_gives_it_back(transport: FakeTransport, place: LeasePlace) -> None:
    lock.acquire(transport, place, "r1", HOLDER)
    assert here("", lease.release(place.directory, "r2")).status == lease.NOT_OURS
    assert here("", lease.release(place.directory, "r1")).status == 0
    assert lock.show(transport, place) is None
    assert list(Path(place.directory).parent.iterdir()) == []


def test_unlock_says_whose_it_was(transport: FakeTransport, place: LeasePlace) -> None:
    assert lock.take_away(transport, place) is None
    lock.acquire(transport, place, "r1", HOLDER)
    shown, taken = lock.show(transport, place), lock.take_away(transport, place)
    assert shown is not None
    assert taken is not None
    assert (shown.who, taken.run_id) == ("ann@laptop", "r1")


def test_it_is_given_back_even_where_the_work_fails(transport: FakeTransport, place: LeasePlace) -> None:
    def work() -> None:
        with lock.held(transport, place, "r1", HOLDER, on_lost=lambda why: None):
            assert lock.show(transport, place) is not None
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    assert lock.show(transport, place) is None


def test_who_loses_it_meanwhile_is_told(transport: FakeTransport, place: LeasePlace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "HEARTBEAT_S", 0.02)
    lost: list[str] = []
    with lock.held(transport, place, "r1", HOLDER, on_lost=lost.append):
        lock.take_away(transport, place)
        until(lambda: bool(lost))
    assert "taken away" in lost[0]


def test_a_heartbeat_that_cannot_be_sent_is_tried_again(place: LeasePlace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "HEARTBEAT_S", 0.01)
    beats: list[str] = []

    def answer(host: str, command: Command) -> Result:
        if "renew" in command.argv:
            beats.append(host)
            if len(beats) < 3:
                raise HostUnreachable(host, "no route")
        return Result(0)

    lost: list[str] = []
    with lock.held(FakeTransport(otherwise=answer), place, "r1", HOLDER, on_lost=lost.append):
        until(lambda: len(beats) > 3)
    assert lost == []


def test_a_holder_that_nobody_hears_gives_up_before_others_may_take_over(place: LeasePlace, monkeypatch: pytest.MonkeyPatch) -> None:
    assert lock.FENCE_S + 2 * lock.HEARTBEAT_S < lock.STALE_S
    monkeypatch.setattr(lock, "HEARTBEAT_S", 0.01)
    monkeypatch.setattr(lock, "FENCE_S", 1.0)
    hangs, may_end = threading.Event(), threading.Event()

    def answer(host: str, command: Command) -> Result:
        if "renew" in command.argv and hangs.is_set():
            may_end.wait(20)  # a heartbeat that hangs keeps nobody from giving up
            raise HostUnreachable(host, "no route")
        return Result(0)

    lost: list[str] = []
    with lock.held(FakeTransport(otherwise=answer), place, "r1", HOLDER, on_lost=lost.append):
        time.sleep(1.5)
        assert lost == [], "it is heard"
        hangs.set()
        began = time.monotonic()
        until(lambda: bool(lost))
        assert time.monotonic() - began < 3
        may_end.set()
    assert lost == ["the lock on hotel could not be renewed for 1 s"]


def test_whose_it_is_by_now_is_asked_of_its_host(transport: FakeTransport, place: LeasePlace) -> None:
    mine = lock.Lease(transport, place, "r1", HOLDER)
    assert mine.lost() == ""
    lock.take_away(transport, place)
    assert mine.lost() == "the lock on hotel was taken away"
    lock.acquire(transport, place, "r2", {**HOLDER, "run_id": "r2", "who": "eve@elsewhere"})
    assert mine.lost() == "the lock on hotel is held by eve@elsewhere (run r2)"


def test_one_whose_host_cannot_be_asked_is_ours_until_it_may_be_stale(place: LeasePlace, monkeypatch: pytest.MonkeyPatch) -> None:
    transport = FakeTransport()
    mine = lock.Lease(transport, place, "r1", HOLDER)
    transport.otherwise = HostUnreachable("lb1", "no route")
    assert mine.lost() == ""
    monkeypatch.setattr(lock, "STALE_S", 0)
    time.sleep(0.01)
    assert "could not be renewed" in mine.lost()


@pytest.mark.parametrize("line", ["", "7", "x {", '3 {"who": 1}'])
def test_a_damaged_holder_line_is_read_as_far_as_it_goes(line: str) -> None:
    assert lock.read_holder(line).reason == ""


def until(is_so: Callable[[], bool], within_s: float = 20) -> None:
    deadline = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)
