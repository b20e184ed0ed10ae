"""The hosts' scripts, run by real shells in a folder of the test's own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from balbook.commands import certificates, faults, files, health, nginx, process, releases, system
from balbook.commands.balancer import Place
from balbook.commands.command import Command, Result, script
from balbook.facts.certificates import parse_certificate
from balbook.facts.footprint import parse_footprint
from balbook.facts.releases import Installed, parse_installed
from balbook.facts.system import parse_system
from balbook.facts.versions import parse_versions
from balbook.facts.watchdogs import watchdogs
from balbook.local.digests import sha256_of
from balbook.testing import text_of

SHELLS = [shell for shell in ("dash", "bash", "busybox") if shutil.which(shell)]
Sh = Callable[..., Result]
SLEEPER = f"#!{sys.executable}\nimport os, time\nprint('ready', os.environ.get('BAL_CONFIG_FILES'), flush=True)\ntime.sleep(60)\n"
STUBBORN = SLEEPER.replace("import os, time", "import os, signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)")


@pytest.fixture(params=SHELLS)
def sh(request: pytest.FixtureRequest) -> Sh:
    """Runs a command with one of the shells that hosts have; `limit` goes before the script, in the same shell."""
    shell = [request.param, "sh"] if request.param == "busybox" else [request.param]

    def run(command: Command, *, limit: str = "", data: bytes | None = None) -> Result:
        argv = [*shell, "-c", f"{limit}\n{command.argv[2]}", *command.argv[3:]]
        stdin = text_of(command).encode() if data is None else data
        done = subprocess.run(argv, input=stdin, capture_output=True, timeout=60, check=False)
        return Result(done.returncode, done.stdout.decode(), done.stderr.decode())

    return run


def sha256(data: bytes) -> str:
    return sha256_of(data)


def test_a_watchdog_is_known_until_it_is_called_off_or_has_repaired(sh: Sh, tmp_path: Path) -> None:
    file, done = tmp_path / "instance" / "drill-watchdog", tmp_path / "done"
    pending = watchdogs([str(tmp_path / "none"), str(file)])
    repair = script("repair", f"cat > {done}", stdin=("again\n",))

    def stands() -> dict[str, str]:
        return pending.parse(sh(pending.command).stdout)

    assert sh(faults.set_watchdog(str(file), "hang", repair, 30)).status == 0
    assert stands() == {str(file): "hang"}
    assert sh(faults.end_watchdog(str(file))).status == 0
    assert stands() == {}
    assert sh(faults.set_watchdog(str(file), "hang", repair, 1)).status == 0
    until(lambda: not stands())
    assert done.read_text() == "again\n"


def test_a_port_is_held_by_the_process_that_listens_there_or_by_its_parent(sh: Sh, tmp_path: Path) -> None:
    pid_file = tmp_path / "balancer.pid"
    place = Place(True, "", "", "", str(pid_file), "", "", "", "")
    listening = "import socket, time; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); time.sleep(60)"
    with (
        socket.create_server(("127.0.0.1", 0)) as other,
        subprocess.Popen(["sh", "-c", f'{sys.executable} -c "{listening}"; exit $?'], stdout=subprocess.PIPE, text=True) as parent,
    ):
        assert parent.stdout
        port = int(parent.stdout.readline())
        pid_file.write_text(f"{parent.pid}\n")
        assert sh(nginx.holds_port(place, port)).status == 0
        assert sh(nginx.holds_port(place, other.getsockname()[1])).status == 1
        children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
        for pid in [*children, str(parent.pid)]:
            os.kill(int(pid), signal.SIGTERM)
    assert sh(nginx.holds_port(place, port)).status == 1
    pid_file.unlink()
    assert sh(nginx.holds_port(place, port)).status == 1


def receive(path: Path, digest: str) -> Command:
    return files.receive_file(str(path), digest, "0755")


def until(is_so: Callable[[], bool], within_s: float = 20) -> None:
    deadline = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# Files -------------------------------------------------------------------------------------------------------------------------


def test_a_file_arrives_with_its_mode_in_a_folder_that_is_made(sh: Sh, tmp_path: Path) -> None:
    path, data = tmp_path / "new" / "a b;c.jar", b"\0\xff\n binary"
    assert sh(receive(path, sha256(data)), data=data).status == 0
    assert path.read_bytes() == data
    assert path.stat().st_mode & 0o777 == 0o755
    assert sh(files.is_there(str(path), sha256(data))).status == 0
    assert sh(files.is_there(str(path), sha256(b"other"))).status == 1


def test_what_an_upload_left_that_stands_still_is_removed_and_one_that_goes_on_is_not(sh: Sh, tmp_path: Path) -> None:
    path, data = tmp_path / "app.jar", b"new"
    stale, fresh = tmp_path / "app.jar.part.999999999", tmp_path / "app.jar.part.999999998"
    for part in (stale, fresh):
        part.write_bytes(b"half")
    os.utime(stale, (0, 0))
    assert sh(receive(path, sha256(data)), data=data).status == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["app.jar", fresh.name]


def test_a_file_with_another_sha256_is_refused_and_leaves_nothing(sh: Sh, tmp_path: Path) -> None:
    result = sh(receive(tmp_path / "app.jar", sha256(b"whole")), data=b"hal")
    assert result.status == 65
    assert sha256(b"hal") in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_differs_leaves_the_old_one_in_place(sh: Sh, tmp_path: Path) -> None:
    (tmp_path / "app.jar").write_text("old")
    assert sh(receive(tmp_path / "app.jar", sha256(b"new")), data=b"damaged").status == 65
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("app.jar", "old")]


def test_a_full_disk_leaves_the_old_file_and_no_half_of_the_new(sh: Sh, tmp_path: Path) -> None:
    (tmp_path / "app.jar").write_text("old")
    data = b"x" * 200_000
    for command in (receive(tmp_path / "app.jar", sha256(data)), files.put_file(str(tmp_path / "app.jar"), ("",))):
        result = sh(command, limit="trap '' XFSZ; ulimit -f 8", data=data)
        assert result.status != 0
        assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("app.jar", "old")]


def test_a_written_file_has_its_mode_and_exact_content(sh: Sh, tmp_path: Path) -> None:
    text = "a = '$(id)'\n\\n `x`\n\nlast line without an end"
    assert sh(files.put_file(str(tmp_path / "d" / "Config.toml"), (text,), "0600")).status == 0
    assert (tmp_path / "d" / "Config.toml").read_text() == text
    assert (tmp_path / "d" / "Config.toml").stat().st_mode & 0o777 == 0o600


def test_directories_are_made_once_and_seen(sh: Sh, tmp_path: Path) -> None:
    paths = [str(tmp_path / "a b"), str(tmp_path / "c" / "d")]
    assert sh(files.are_directories(paths)).status == 1
    for _ in range(2):
        assert sh(files.make_directories(paths)).status == 0
    assert sh(files.are_directories(paths)).status == 0


# Releases ----------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def application(tmp_path: Path) -> Path:
    """`ROOT/hotel` as `provision` leaves it."""
    for name in ("releases", "artifacts", "instances"):
        (tmp_path / "hotel" / name).mkdir(parents=True)
    return tmp_path / "hotel"


def stage(sh: Sh, application: Path, name: str, program: str = SLEEPER) -> Path:
    """A native release for port 9090; an executable of its own each."""
    artifact = application / "artifacts" / sha256(f"{name}{program}".encode())
    artifact.write_text(f"{program}# {name}\n")
    artifact.chmod(0o755)
    release = application / "releases" / name
    assert sh(releases.begin_release(str(release), str(artifact), "app")).status == 0
    settings = {"environment": "LOG_LEVEL=info\n", "Config.toml": "", "java_options": ""}
    for file, text in settings.items():
        assert sh(files.put_file(f"{release}.draft/9090/{file}", (text,))).status == 0
    assert sh(releases.is_release(str(release))).status == 1
    assert sh(releases.finish_release(str(release), f'{{"release": "{name}"}}\n')).status == 0
    assert sh(releases.is_release(str(release))).status == 0
    return release


def inspect(sh: Sh, application: Path) -> Installed:
    return parse_installed(sh(releases.inspect(str(application))).stdout)


def test_a_release_is_whole_or_not_there(sh: Sh, application: Path) -> None:
    release = stage(sh, application, "1.0.0-aa")
    assert sorted(p.name for p in release.iterdir()) == ["9090", "REVISION", "app"]
    assert not release.with_name("1.0.0-aa.draft").exists()
    assert inspect(sh, application).releases["1.0.0-aa"].revision == {"release": "1.0.0-aa"}


def test_releases_of_one_artifact_share_its_bytes(sh: Sh, application: Path) -> None:
    release = stage(sh, application, "1.0.0-aa")
    artifact = next((application / "artifacts").iterdir())
    assert (release / "app").stat().st_ino == artifact.stat().st_ino


def test_a_draft_that_was_left_behind_is_begun_anew(sh: Sh, application: Path) -> None:
    (application / "releases" / "1.0.0-aa.draft").mkdir()
    (application / "releases" / "1.0.0-aa.draft" / "rubbish").touch()
    assert not (stage(sh, application, "1.0.0-aa") / "rubbish").exists()


def test_a_draft_is_no_release(sh: Sh, application: Path) -> None:
    (application / "artifacts" / "aa").touch()
    sh(releases.begin_release(str(application / "releases" / "1.0.0-aa"), str(application / "artifacts" / "aa"), "app"))
    assert inspect(sh, application).releases == {}


def test_a_switch_is_never_seen_half_done(sh: Sh, application: Path) -> None:
    targets = [stage(sh, application, name) for name in ("one", "two")]
    link = application / "instances" / "9090" / "current"
    assert sh(releases.switch(str(link), str(targets[0]))).status == 0
    seen: set[str] = set()
    is_over = threading.Event()

    def read() -> None:
        while not is_over.is_set():
            try:
                seen.add(link.joinpath("REVISION").read_text())
            except OSError as exc:
                seen.add(repr(exc))

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(30):
        assert sh(releases.switch(str(link), str(targets[number % 2]))).status == 0
    is_over.set()
    reader.join()
    assert seen <= {'{"release": "one"}\n', '{"release": "two"}\n'}
    assert sh(releases.points_to(str(link), str(targets[1]))).status == 0
    assert [p.name for p in link.parent.iterdir()] == ["current"]


def test_nothing_is_switched_to_a_release_that_is_not_there(sh: Sh, application: Path) -> None:
    link = application / "instances" / "9090" / "current"
    sh(releases.switch(str(link), str(stage(sh, application, "one"))))
    assert sh(releases.switch(str(link), str(application / "releases" / "none"))).status != 0
    assert link.readlink().name == "one"


def test_the_release_that_was_proven_last_is_known_whatever_the_clock(sh: Sh, application: Path) -> None:
    one, two = stage(sh, application, "one"), stage(sh, application, "two")
    (one / "PROVEN").write_text(f"{int(time.time()) + 9000}\n")
    assert sh(releases.is_proven(str(two))).status == 1
    assert sh(releases.mark_proven(str(two))).status == 0
    assert sh(releases.is_proven(str(two))).status == 0
    assert inspect(sh, application).previous_proven("two") == "one"


def test_a_draft_is_never_marked_as_proven(sh: Sh, application: Path) -> None:
    (application / "releases" / "one").mkdir()
    assert sh(releases.mark_proven(str(application / "releases" / "one"))).status != 0


def test_prune_keeps_the_newest_those_in_use_and_the_protected(sh: Sh, application: Path) -> None:
    for age, name in enumerate(("newest", "second", "third", "current", "proven", "oldest")):
        release = stage(sh, application, name)
        at = time.time() - 1000 * age
        os.utime(release, (at, at))
    link = application / "instances" / "9090" / "current"
    sh(releases.switch(str(link), str(application / "releases" / "current")))
    assert sh(releases.is_pruned(str(application), 2, ["proven"])).status == 1
    assert sh(releases.prune(str(application), 2, ["proven"])).status == 0
    assert sorted(inspect(sh, application).releases) == ["current", "newest", "proven", "second"]
    assert len(list((application / "artifacts").iterdir())) == 4
    assert sh(releases.is_pruned(str(application), 2, ["proven"])).status == 0


def test_prune_of_what_is_not_there_is_no_error(sh: Sh, tmp_path: Path) -> None:
    assert sh(releases.prune(str(tmp_path / "none"), 2, [])).status == 0
    assert inspect(sh, tmp_path / "none") == Installed()


# Processes ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def instance(application: Path) -> Iterator[Path]:
    """`instances/9090`; what runs there is ended."""
    place = application / "instances" / "9090"
    place.mkdir()
    yield place
    if pid := living(place):
        os.kill(pid, signal.SIGKILL)


def living(instance: Path) -> int:
    """The PID of what runs there, 0 where nothing does."""
    try:
        pid, start, _ = (instance / "pid").read_text().split()
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return int(pid) if fields[19] == start and fields[0] != "Z" else 0
    except (OSError, ValueError):
        return 0


def start(sh: Sh, application: Path, instance: Path, name: str = "1.0.0-aa", program: str = SLEEPER) -> int:
    sh(releases.switch(str(instance / "current"), str(stage(sh, application, name, program))))
    result = sh(process.start(str(instance), 9090, 512))
    assert result.status == 0, result.tail()
    until(lambda: "ready" in (instance / "log" / "current.log").read_text())
    return living(instance)


def test_an_instance_starts_once_is_seen_and_stops(sh: Sh, application: Path, instance: Path) -> None:
    pid = start(sh, application, instance)
    assert sh(process.start(str(instance), 9090, 512)).stdout == f"already runs as {pid}\n"
    assert sh(process.runs(str(instance), "1.0.0-aa")).status == 0
    there = inspect(sh, application).instances[9090]
    assert (there.running, there.current, there.pid) == ("1.0.0-aa", "1.0.0-aa", pid)
    assert sh(process.stop(str(instance), 10)).stdout == "stopped 1.0.0-aa\n"
    assert living(instance) == 0
    assert sh(process.runs(str(instance), "-")).status == 0
    assert sh(process.stop(str(instance), 10)).stdout == "nothing runs\n"


def test_what_runs_is_named_even_after_the_link_moved_on(sh: Sh, application: Path, instance: Path) -> None:
    start(sh, application, instance)
    sh(releases.switch(str(instance / "current"), str(stage(sh, application, "2.0.0-bb"))))
    assert sh(process.runs(str(instance), "1.0.0-aa")).status == 0
    there = inspect(sh, application).instances[9090]
    assert (there.running, there.current) == ("1.0.0-aa", "2.0.0-bb")


def test_a_process_that_ignores_sigterm_is_killed_at_the_deadline(sh: Sh, application: Path, instance: Path) -> None:
    pid = start(sh, application, instance, program=STUBBORN)
    assert f"killed {pid}" in sh(process.stop(str(instance), 1)).stdout
    until(lambda: not running(pid))


def test_a_process_that_was_suspended_is_stopped_too(sh: Sh, application: Path, instance: Path) -> None:
    pid = start(sh, application, instance)
    os.kill(pid, signal.SIGSTOP)
    assert sh(process.stop(str(instance), 5)).stdout == "stopped 1.0.0-aa\n"
    until(lambda: not running(pid))


def test_a_stranger_that_has_the_pid_by_now_is_left_alone(sh: Sh, application: Path, instance: Path) -> None:
    stage(sh, application, "1.0.0-aa")
    with subprocess.Popen(["sleep", "60"]) as stranger:
        (instance / "pid").write_text(f"{stranger.pid} 1 1.0.0-aa\n")
        assert sh(process.runs(str(instance), "-")).status == 0
        assert inspect(sh, application).instances[9090].pid is None
        assert sh(process.stop(str(instance), 1)).stdout == "nothing runs\n"
        assert stranger.poll() is None
        stranger.kill()


@pytest.mark.parametrize("content", ["", "\n", "4711", "4711 99", "999999999 1 1.0.0-aa"])
def test_a_damaged_pid_file_does_not_stand_in_the_way(sh: Sh, application: Path, instance: Path, content: str) -> None:
    (instance / "pid").write_text(content)
    assert sh(process.runs(str(instance), "-")).status == 0
    assert sh(releases.inspect(str(application))).status == 0
    assert sh(process.stop(str(instance), 1)).status == 0
    (instance / "pid").write_text(content)
    assert start(sh, application, instance) > 0


def test_the_applications_variables_reach_it_and_not_the_script(sh: Sh, application: Path, instance: Path) -> None:
    shown = SLEEPER.replace("print('ready'", "print(sorted(f'{k}={os.environ[k]}' for k in ('release', 'settings', 'X')), 'ready'")
    release = stage(sh, application, "1.0.0-aa", shown)
    (release / "9090" / "environment").write_text("X=a b;$(id) 'q'\nrelease=evil\nsettings=/elsewhere\n")
    sh(releases.switch(str(instance / "current"), str(release)))
    assert sh(process.start(str(instance), 9090, 512)).status == 0
    until(lambda: "ready" in (instance / "log" / "current.log").read_text())
    log = (instance / "log" / "current.log").read_text()
    assert all(text in log for text in ("release=evil", "settings=/elsewhere", "X=a b;$(id) 'q'", f"{release}/9090/Config.toml"))
    assert sh(process.runs(str(instance), "1.0.0-aa")).status == 0


def test_a_jar_runs_with_the_options_of_the_release(sh: Sh, application: Path, instance: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = application / "bin"
    programs.mkdir()
    (programs / "java").write_text("#!/bin/sh\nprintf '[%s]' \"$@\"\necho ready\nexec sleep 60\n")
    (programs / "java").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    release = stage(sh, application, "1.0.0-aa")
    (release / "app").rename(release / "app.jar")
    (release / "9090" / "java_options").write_text("-Xmx64m\n-Dname=a b\n")
    sh(releases.switch(str(instance / "current"), str(release)))
    sh(process.start(str(instance), 9090, 512))
    until(lambda: "ready" in (instance / "log" / "current.log").read_text())
    assert f"[-Xmx64m][-Dname=a b][-jar][{release}/app.jar]" in (instance / "log" / "current.log").read_text()


@pytest.fixture
def page() -> Iterator[int]:
    """The port of a server that answers `/page` with a text, and everything else with 404."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"rooms of version 1.2.0 [x]\n"
            self.send_response(200 if self.path == "/page" else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("path", "expect", "contains", "status", "said"),
    [
        ("/page", 200, "", 0, "status 200"),
        ("/page", 200, "version 1.2.0 [x]", 0, "status 200"),
        ("/page", 200, "version 1.2.1", 1, "does not contain the expected text"),
        ("/page", 200, "--version", 1, "does not contain the expected text"),
        ("/other", 404, "", 0, "status 404"),
        ("/other", 200, "", 1, "status 404, not 200"),
    ],
)
def test_an_answer_is_held_against_its_status_and_a_text(
    sh: Sh, page: int, path: str, expect: int, contains: str, status: int, said: str
) -> None:
    done = sh(health.answers(page, path, expect, contains))
    assert (done.status, said in done.stdout) == (status, True), done


def test_an_answer_that_does_not_come_is_said(sh: Sh) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        done = sh(health.answers(bound.getsockname()[1], "/", 200))
    assert (done.status, done.stdout) == (1, "no answer (curl ends with 7)\n")


def test_errors_in_a_log_count_from_the_start_on_and_less_those_that_are_allowed(sh: Sh, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.mkdir()
    old = b"time=1 level=ERROR old\n"
    lines = [
        "level=INFO fine",
        'time=2 level=ERROR message="no [rooms"',
        "error: no such table",
        '{"level":"ERROR"}',
        "an error: inside a line",
    ]
    (log / "current.log").write_bytes(old + "\n".join(lines).encode() + b"\n\xff\n")
    (log / "began").write_text(f"{len(old)}\n")
    done = sh(process.log_errors(str(tmp_path), "", []))
    assert (done.status, done.stdout.splitlines()) == (1, lines[1:4])
    done = sh(process.log_errors(str(tmp_path), "", ["no [rooms", '"ERROR"']))
    assert (done.status, done.stdout.splitlines()) == (1, lines[2:3])
    assert sh(process.log_errors(str(tmp_path), "", ["no [rooms", '"ERROR"', "table"])).status == 0
    done = sh(process.log_errors(str(tmp_path / "elsewhere"), "", []))  # one that cannot be read may have errors
    assert (done.status, done.stdout) == (2, "")
    assert "the log cannot be read" in done.stderr
    assert "elsewhere/log/current.log" in done.stderr


def test_an_instance_tells_its_memory_and_how_long_its_start_took(sh: Sh, application: Path, instance: Path, page: int) -> None:
    assert sh(process.footprint(str(instance))).stdout == ""
    start(sh, application, instance)
    try:
        assert (instance / "log" / "began").read_text().strip() == "0"
        assert sh(health.is_started(str(instance), page, "/other", 200)).status == 1
        assert parse_footprint(sh(process.footprint(str(instance))).stdout).start_s is None
        assert sh(health.is_started(str(instance), page, "/page", 200)).status == 0
        first = parse_footprint(sh(process.footprint(str(instance))).stdout)
        assert (first.rss_mb or 0) > 1
        assert (first.start_s or 0) >= 1  # the first look, which waits for a second, was part of it
        assert sh(health.is_started(str(instance), page, "/page", 200)).status == 0
        assert parse_footprint(sh(process.footprint(str(instance))).stdout).start_s == first.start_s
    finally:
        sh(process.stop(str(instance), 0))
    assert sh(health.is_started(str(instance), page, "/page", 200)).status == health.ENDED
    assert sh(process.footprint(str(instance))).stdout == ""


def test_a_release_that_others_may_read_is_not_private(sh: Sh, tmp_path: Path) -> None:
    (tmp_path / "9090").mkdir()
    (tmp_path / "app.jar").touch(mode=0o755)
    secret = tmp_path / "9090" / "Config.toml"
    secret.touch(mode=0o600)
    assert sh(releases.is_private(str(tmp_path))).status == 0
    secret.chmod(0o640)
    assert sh(releases.is_private(str(tmp_path))).status == 1
    assert sh(releases.is_private(str(tmp_path / "elsewhere"))).status == 1


def test_executed_ids_are_counted_over_all_logs_and_for_one_prefix(sh: Sh, tmp_path: Path) -> None:
    for number, ids in enumerate((("run-1", "run-2"), ("run-2", "other-1"))):
        log = tmp_path / str(number) / "log" / "current.log"
        log.parent.mkdir(parents=True)
        log.write_text("".join(f"executed POST /x id={i}\n" for i in ids))
    found = sh(process.executed_ids("run", [str(tmp_path / "0"), str(tmp_path / "1"), str(tmp_path / "none")]))
    assert [line.split() for line in found.stdout.splitlines()] == [["1", "run-1"], ["2", "run-2"]]


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


# The system --------------------------------------------------------------------------------------------------------------------


def test_this_machine_describes_itself(sh: Sh, tmp_path: Path) -> None:
    found = parse_system(sh(system.describe_system(str(tmp_path / "not" / "yet" / "there"))).stdout)
    assert (found.uid, found.cpus, found.is_root_writable) == (os.getuid(), os.cpu_count(), True)
    assert abs(found.epoch - time.time()) < 30
    assert found.memory_mb > 0
    assert found.disk_mb > 0
    assert found.os


JAVA = sorted((Path(__file__).parents[1] / "data" / "java").glob("*.json"))


@pytest.mark.parametrize("path", JAVA, ids=lambda path: path.stem)
def test_javas_version_is_read_whatever_the_launcher_says_before_it(
    sh: Sh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: Path
) -> None:
    told = json.loads(path.read_text(encoding="utf-8"))
    (tmp_path / "said").write_text(told["output"])
    (tmp_path / "java").write_text(f"#!/bin/sh\ncat {tmp_path}/said >&2\n")
    (tmp_path / "java").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert (parse_system(sh(system.describe_system("/")).stdout).java or 0) == told["major"]
    assert parse_versions(sh(system.describe_versions()).stdout).get("java", "") == told["version"]
    assert sh(system.has_java(told["major"])).status == 0
    assert sh(system.has_java(told["major"] + 1)).status == 1


APT_CACHE = """#!/bin/sh
[ "$1" = policy ] || exit 1
if [ $# -eq 1 ]; then cat lists 2>/dev/null; exit 0; fi
case " $(cat offers) " in
  *" $2 "*) printf '%s:\\n  Installed: (none)\\n  Candidate: 21.0.4\\n' "$2" ;;
  *) printf '%s:\\n  Installed: (none)\\n  Candidate: (none)\\n' "$2" ;;
esac
"""
APT_GET = '#!/bin/sh\n[ "$1" = update ] && echo \' 500 http://deb Packages\' > lists\necho "$@" >> done\n'
DNF = """#!/bin/sh
echo "$@" >> done
while [ "${1#-}" != "$1" ]; do shift; done
[ "$1" = list ] || exit 0
[ "$2" = --available ] && exit $(cat lists)
case " $(cat offers) " in *" $2 "*) exit 0 ;; *) exit 1 ;; esac
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the only one on the path, with the shells and little more; what its programs did is in the file `done`."""
    for name in ("sh", "cat", "grep", *SHELLS):
        (tmp_path / name).symlink_to(shutil.which(name) or "")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "offers").write_text("openjdk-17-jre-headless java-21-openjdk-headless temurin-21-jre temurin-25-jre")
    return tmp_path


def place(folder: Path, **texts: str) -> None:
    for name, text in texts.items():
        path = folder / name.replace("_", "-")
        path.write_text(text)
        path.chmod(0o755)


def test_apt_is_asked_which_java_it_offers_and_once_its_lists_are_there_it_is_told(sh: Sh, programs: Path) -> None:
    place(programs, apt_cache=APT_CACHE, apt_get=APT_GET)
    wanted = ["openjdk-21-jre-headless", "temurin-21-jre", "temurin-25-jre"]
    assert sh(system.find_java(wanted)).status == system.UNKNOWN
    assert not (programs / "done").exists()
    assert sh(system.install_java(wanted)).status == 0
    assert (programs / "done").read_text().splitlines() == ["update -q", "install -q -y --no-install-recommends temurin-21-jre"]
    assert sh(system.find_java(wanted)).stdout == "temurin-21-jre\n"
    assert sh(system.find_java(wanted[:1])).status == 1
    refused = sh(system.install_java(wanted[:1]))
    assert (refused.status, refused.stderr) == (1, "this host's package manager offers none of: openjdk-21-jre-headless\n")


def test_dnf_is_asked_which_java_it_offers_without_fetching_anything(sh: Sh, programs: Path) -> None:
    place(programs, dnf=DNF, lists="1")
    wanted = ["openjdk-21-jre-headless", "java-21-openjdk-headless"]
    assert sh(system.find_java(wanted)).status == system.UNKNOWN
    place(programs, lists="0")
    assert sh(system.find_java(wanted)).stdout == "java-21-openjdk-headless\n"
    assert all("-C" in line for line in (programs / "done").read_text().splitlines())
    assert sh(system.install_java(wanted)).status == 0
    assert (programs / "done").read_text().splitlines()[-1] == "install -q -y java-21-openjdk-headless"


def test_without_a_package_manager_no_java_is_offered(sh: Sh, programs: Path) -> None:
    assert sh(system.find_java(["temurin-21-jre"])).status == 1


def test_a_certificates_end_is_read_by_openssl_itself(sh: Sh, tmp_path: Path) -> None:
    crt = tmp_path / "hotel.crt"
    argv = ["openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-subj", "/CN=hotel", "-days", "20"]
    subprocess.run([*argv, "-keyout", tmp_path / "key", "-out", crt], check=True, capture_output=True, timeout=60)
    found = parse_certificate(sh(certificates.certificate_end(str(crt))).stdout)
    assert 19.9 < (found.days_left(time.time()) or 0) <= 20
    assert (
        parse_certificate(sh(certificates.certificate_end(str(tmp_path / "key"))).stdout).problem == "the file is not a certificate in PEM"
    )
    missing = parse_certificate(sh(certificates.certificate_end(str(tmp_path / "none"))).stdout)
    assert missing.problem == "the file does not exist or cannot be read"
