"""What a restart costs clients, by the way an instance leaves the balancer: `drain.py [RESTARTS] [RATE] [nginx|haproxy]`.

`reload`: the server is marked down by a reload, replaced, and readmitted by a second reload. `graceful_stop`: no reload; the
instance closes its listening socket, finishes what it has, and ends; the balancer meets refusals. `runtime` (HAProxy): the
server is drained through the runtime socket. Per way and stream (fresh or keep-alive connections, GET or POST) it prints the
requests sent, failed, and closed before any byte came back. Exits 1 naming the row whose fresh connections lost a request.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from balbook.commands import haproxy, nginx
from balbook.commands.balancer import servers_of
from tests.integration.balancer_rig import Load, Rig, is_open, run, statuses, under_load, until

GRACE_S = 0.5
WAYS = ("nginx reload", "nginx graceful_stop", "haproxy runtime", "haproxy graceful_stop")


def main() -> int:
    restarts, rate = int((sys.argv[1:] or ["30"])[0]), float((sys.argv[2:] or ["400"])[0])
    kinds = sys.argv[3:] or ["nginx", "haproxy"]
    missed = []
    print(f"{restarts} restarts under {rate:.0f} requests/s, grace {GRACE_S} s")
    print(f"{'way':<22}{'stream':<18}{'sent':>8}{'failed':>8}{'unread':>8}  p50 ms  max ms  answers")
    for way in (way for way in WAYS if way.split()[0] in kinds):
        for method in ("GET", "POST"):
            for is_fresh in (True, False):
                failed = measure(way, method, is_fresh, restarts, rate)
                if failed and is_fresh:
                    missed.append(f"{way}, fresh {method}")
    for row in missed:
        print(f"missed: {row}")
    return 1 if missed else 0


def measure(way: str, method: str, is_fresh: bool, restarts: int, rate: float) -> int:
    """Run one row and print it; the failed requests."""
    kind, how = way.split()
    with tempfile.TemporaryDirectory() as folder:
        rig = Rig(Path(folder), kind=kind, grace_s=GRACE_S, balancer={"fail_timeout_s": 1})
        try:
            if kind == "nginx":
                rig.up()
            else:
                for backend in rig.instances:
                    backend.start()
                command = haproxy.apply_configuration(rig.place, rig.content(), generation_port=rig.generation_port)
                assert run(command).status == 0
            load = Load(rig.listen, rate=rate, method=method, is_fresh=is_fresh)
            answers = under_load(load, lambda: [restart(rig, how, number % 2) for number in range(restarts)] and None)
        finally:
            run(haproxy.stop(rig.place, within_s=1) if kind == "haproxy" else nginx.stop(rig.place, within_s=1))
            for backend in rig.instances:
                backend.kill()
    failed = [answer for answer in answers if answer.is_failed]
    unread = sum(answer.is_unread for answer in failed)
    times = sorted(answer.seconds * 1000 for answer in answers)
    stream = f"{'fresh' if is_fresh else 'keep-alive'} {method}"
    line = f"{way:<22}{stream:<18}{len(answers):>8}{len(failed):>8}{unread:>8}{times[len(times) // 2]:>8.1f}{times[-1]:>8.0f}"
    print(f"{line}  {dict(statuses(answers))}", flush=True)
    return len(failed)


def restart(rig: Rig, how: str, number: int) -> None:
    """Replace one instance the given way, and wait until the balancer uses it again."""
    server = servers_of(rig.inventory, "hotel", {})[number]
    if how == "reload":
        assert rig.apply(number).status == 0
    elif how == "runtime":
        assert run(haproxy.put_states(rig.place, rig.content(number), "hotel", {server.word: "drain"})).status == 0
    rig.instances[number].stop()
    rig.instances[number].start()
    until(lambda: is_open(rig.instances[number].port))
    if how == "reload":
        assert rig.apply().status == 0
    elif how == "runtime":
        assert run(haproxy.put_states(rig.place, rig.content(), "hotel", {server.word: "ready"})).status == 0
    url = f"http://127.0.0.1:{rig.listen}/"
    used = nginx.through_balancer(url, "127.0.0.1", rig.instances[number].port)
    until(lambda: run(used).status == 0, what="the restarted instance's first answer")


if __name__ == "__main__":
    sys.exit(main())
