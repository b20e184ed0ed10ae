"""Putting a configuration in force: what stands there is respected, what fails is taken back and said."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from balbook.commands import nginx
from balbook.commands.balancer import NO_GENERATION, generation_of, render_balancer, render_main
from balbook.commands.health import is_healthy
from balbook.local.digests import sha256_of
from tests.integration.balancer_rig import Rig, free_port, is_open, run, until

pytestmark = [pytest.mark.integration]

SHELLS = [shell for shell in ("dash", "bash") if shutil.which(shell)]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made.up()
    made.down()


def edited(content: str, old: str, new: str) -> str:
    """`content` with a change, and the generation that belongs to it."""
    assert old in content
    blank = content.replace(generation_of(content), NO_GENERATION).replace(old, new)
    return blank.replace(NO_GENERATION, sha256_of(blank)[:16])


@pytest.mark.parametrize("shell", SHELLS)
def test_a_configuration_is_put_in_force_by_any_posix_shell(rig: Rig, shell: str) -> None:
    assert not rig.is_applied(rig.content(0))
    done = rig.apply(0, shell=shell)
    assert (done.status, done.stdout) == (0, f"generation {generation_of(rig.content(0))} is in force\n"), done
    assert rig.is_applied(rig.content(0))
    assert not rig.is_applied(rig.content())


def test_what_is_in_force_already_is_not_reloaded(rig: Rig) -> None:
    log = Path(rig.place.error_log)
    before = log.read_text().count("reconfiguring")
    assert "already" in rig.apply().stdout
    assert log.read_text().count("reconfiguring") == before


def test_a_file_on_the_disk_that_is_not_in_force_is_reloaded(rig: Rig) -> None:
    rig.path.write_text(rig.content(1))  # as after a crash between the move and the signal
    assert not rig.is_applied(rig.content(1))
    assert rig.apply(1).status == 0
    assert rig.is_applied(rig.content(1))


def test_a_foreign_configuration_is_never_overwritten(rig: Rig) -> None:
    rig.path.write_text("# mine\n")
    done = rig.apply(0)
    assert done.status == nginx.FOREIGN
    assert "is not balbook's" in done.stderr
    assert rig.path.read_text() == "# mine\n"


def test_another_applications_file_is_foreign_too(rig: Rig) -> None:
    text = rig.content().replace("# balbook: application hotel;", "# balbook: application hotels;", 1)
    rig.path.write_text(text)
    assert rig.apply(0).status == nginx.FOREIGN
    assert rig.path.read_text() == text


def test_an_invalid_configuration_keeps_the_old_one_and_says_what_nginx_says(rig: Rig) -> None:
    done = run(rig.command(edited(rig.content(0), "least_conn;", "least_con;")))
    assert done.status == nginx.INVALID
    assert 'unknown directive "least_con"' in done.stderr
    assert rig.is_applied(rig.content())


def test_a_first_configuration_that_is_invalid_leaves_no_file(rig: Rig) -> None:
    other = rig.path.with_name("balbook-other.conf")
    content = edited(rig.content(0), "least_conn;", "least_con;")
    command = nginx.apply_configuration(
        rig.place, str(other), content, generation_port=rig.generation_port, generation_host="balbook-hotel"
    )
    assert run(command).status == nginx.INVALID
    assert not other.exists()
    assert rig.is_applied(rig.content())


def test_a_port_in_use_keeps_the_old_configuration_and_names_the_port(rig: Rig) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run(rig.command(edited(rig.content(0), f"listen 127.0.0.1:{rig.listen};", f"listen 127.0.0.1:{port};")))
    assert done.status == nginx.NOT_RELOADED
    assert f"bind() to 127.0.0.1:{port} failed" in done.stderr
    assert rig.is_applied(rig.content())


def test_content_that_arrives_cut_off_changes_nothing(rig: Rig) -> None:
    command = rig.command(rig.content(0))
    done = run(replace(command, stdin=(rig.content(0)[:200],)))
    assert done.status == nginx.DAMAGED
    assert rig.is_applied(rig.content())


def test_a_configuration_that_nginx_does_not_include_is_taken_back(rig: Rig, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.conf"
    command = nginx.apply_configuration(
        rig.place,
        str(elsewhere),
        rig.content(0),
        generation_port=rig.generation_port,
        generation_host="balbook-hotel",
        old_workers_within_s=2,
    )
    done = run(command)
    assert done.status == nginx.OTHER_GENERATION
    assert f"Does NGINX include {elsewhere}?" in done.stderr
    assert not elsewhere.exists()


def test_the_previous_file_is_kept_where_nginx_does_not_read_it(rig: Rig) -> None:
    assert rig.apply(0).status == 0
    assert rig.path.with_name("balbook-hotel.conf.balbook-previous").read_text() == rig.content()


def test_requests_that_old_workers_still_finish_are_waited_for_and_reported(rig: Rig) -> None:
    url = f"http://127.0.0.1:{rig.listen}/?s=4"
    with subprocess.Popen(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", url], stdout=subprocess.PIPE, text=True) as slow:
        log = Path(rig.place.error_log)
        until(lambda: _connections(rig) > 0, what="the slow request")
        done = rig.apply(0, old_workers_within_s=1)
        assert done.status == nginx.LINGERING, (done, log.read_text()[-500:])
        assert "still finish requests" in done.stderr
        assert rig.is_applied(rig.content(0))
        assert slow.communicate(timeout=20)[0] == "200"


def test_who_finds_it_in_force_waits_for_what_an_earlier_reload_left_in_hand(rig: Rig, tmp_path: Path) -> None:
    answered = tmp_path / "answer-now"
    url = f"http://127.0.0.1:{rig.listen}/?until={answered}"
    with subprocess.Popen(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", url], stdout=subprocess.PIPE, text=True) as slow:
        until(lambda: _connections(rig) > 0, what="the slow request")
        assert rig.apply(0, old_workers_within_s=1).status == nginx.LINGERING
        assert not rig.is_applied(rig.content(0), pid_file=rig.place.pid_file)
        again = rig.apply(0, old_workers_within_s=1)
        assert (again.status, "still finish requests" in again.stderr) == (nginx.LINGERING, True)
        threading.Timer(1, answered.touch).start()
        assert "in force already" in rig.apply(0).stdout
        assert answered.exists(), "it did not wait for the request in hand"
        assert rig.is_applied(rig.content(0), pid_file=rig.place.pid_file)
        assert slow.communicate(timeout=20)[0] == "200"


def test_while_somebody_changes_the_balancer_nobody_is_known_to_have_left(rig: Rig) -> None:
    with Path(f"{rig.place.pid_file}.balbook-lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert not rig.is_applied(rig.content(), pid_file=rig.place.pid_file)
        assert rig.is_applied(rig.content())
    assert rig.is_applied(rig.content(), pid_file=rig.place.pid_file)


def test_a_lingering_request_may_be_expected(rig: Rig) -> None:
    assert rig.command(rig.content(), is_lingering_allowed=True).expect == (0, nginx.LINGERING)
    assert rig.command(rig.content()).expect == (0,)


def test_changes_at_the_same_time_wait_for_each_other(rig: Rig) -> None:
    done: list[int] = []
    threads = [threading.Thread(target=lambda n=n: done.append(rig.apply(n % 2).status)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert done == [0] * 4
    assert any(rig.is_applied(rig.content(number)) for number in (0, 1))


def test_two_applications_share_a_balancer_and_each_is_found_by_name(rig: Rig) -> None:
    data = rig.inventory.model_dump()
    data["applications"]["inn"] = {**data["applications"]["hotel"], "instances": data["applications"]["hotel"]["instances"][1:]}
    both = type(rig.inventory).model_validate(data)
    content = render_balancer(both, "inn", {})
    command = nginx.apply_configuration(
        rig.place,
        str(rig.path.with_name("balbook-inn.conf")),
        content,
        generation_port=rig.generation_port,
        generation_host="balbook-inn",
    )
    assert run(command).status == 0
    assert rig.is_applied(rig.content())
    url, second = f"http://127.0.0.1:{rig.listen}/", rig.instances[1].port
    assert run(nginx.through_balancer(url, "127.0.0.1", second, host_name="inn", requests=1)).status == 0
    rig.instances[1].kill()
    assert run(nginx.through_balancer(url, "127.0.0.1", second, host_name="inn", requests=2)).status == 1
    assert run(nginx.through_balancer(url, "127.0.0.1", rig.instances[0].port, requests=4)).status == 0


def test_where_nginx_does_not_run_nothing_is_changed(rig: Rig) -> None:
    assert run(nginx.stop(rig.place, within_s=2)).status == 0
    done = rig.apply(0)
    assert done.status == nginx.NOT_RUNNING
    assert rig.path.read_text() == rig.content()


def test_an_own_instance_starts_once_stops_and_starts_again(rig: Rig) -> None:
    main = render_main(rig.inventory, "public", is_root=os.geteuid() == 0)
    pid = Path(rig.place.pid_file).read_text()
    assert run(nginx.is_running(rig.place, main)).status == 0
    assert run(nginx.start(rig.place, main)).status == 0
    assert Path(rig.place.pid_file).read_text() == pid
    assert run(nginx.stop(rig.place)).status == 0
    assert not is_open(rig.listen)
    assert run(nginx.is_running(rig.place, main)).status == 1
    assert run(nginx.stop(rig.place)).stdout == "nginx is not running\n"
    assert run(nginx.start(rig.place, main)).status == 0
    assert rig.is_applied(rig.content())


def test_a_changed_main_file_is_reloaded(rig: Rig) -> None:
    main = render_main(rig.inventory, "public", is_root=os.geteuid() == 0).replace("4096", "4095")
    assert run(nginx.is_running(rig.place, main)).status == 1
    assert run(nginx.start(rig.place, main)).status == 0
    assert run(nginx.is_running(rig.place, main)).status == 0


def test_a_foreign_main_file_is_never_overwritten(rig: Rig) -> None:
    Path(rig.place.main).write_text("# mine\n")
    done = run(nginx.start(rig.place, render_main(rig.inventory, "public", is_root=False)))
    assert done.status == nginx.FOREIGN
    assert Path(rig.place.main).read_text() == "# mine\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's NGINX changes accounts")
def test_workers_that_could_not_write_their_files_are_not_started(rig: Rig) -> None:
    main = render_main(rig.inventory, "public", is_root=True).replace("user root;", "user www-data;")
    done = run(nginx.start(rig.place, main))  # pytest's folders are of mode 0700
    assert done.status == 28
    assert "cannot enter" in done.stderr


def test_a_stale_pid_file_that_names_another_process_is_not_signalled(rig: Rig) -> None:
    with subprocess.Popen(["sleep", "60"]) as other:
        pid_file = Path(rig.place.pid_file)
        true_pid = pid_file.read_text()
        try:
            pid_file.write_text(f"{other.pid}\n")
            assert rig.apply(0).status == nginx.NOT_RUNNING
            assert other.poll() is None
        finally:
            pid_file.write_text(true_pid)
            other.send_signal(signal.SIGKILL)


def test_health_says_what_it_found(rig: Rig) -> None:
    backend = rig.instances[0]
    assert run(is_healthy(backend.port, "/health")).status == 0
    Path(f"{backend.log}.sick").touch()
    assert run(is_healthy(backend.port, "/health")).stdout == f"port {backend.port}: /health answers 503, not 200\n"
    assert run(is_healthy(backend.port, "/health", 503)).status == 0
    slow = run(is_healthy(backend.port, "/health?s=5", timeout_s=0.3))
    assert (slow.status, "does not answer within 0.3 s" in slow.stdout) == (1, True)
    free = free_port()
    assert run(is_healthy(free, "/health")).stdout == f"port {free}: nothing listens\n"


def _connections(rig: Rig) -> int:
    done = subprocess.run(["ss", "-Htn", "state", "established", f"dport = :{rig.instances[0].port} or dport = :{rig.instances[1].port}"],
                          capture_output=True, text=True, check=True, timeout=10)  # fmt: skip
    return len(done.stdout.splitlines())
