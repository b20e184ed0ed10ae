"""Commands for balancers: constant scripts, values as arguments, deadlines that cover the waits."""

from __future__ import annotations

import shutil
import subprocess
from importlib.resources import files

import pytest

from balbook.commands import haproxy, host_script, nginx
from balbook.commands.balancer import Place, Server, generation_of
from balbook.commands.command import Command
from balbook.commands.health import is_healthy
from balbook.local.digests import sha256_of
from balbook.local.rendering import render
from tests.small_fleet import written

PLACE = Place(True, "/b", "/b/nginx.conf", "/b/conf.d", "/b/pid", "/b/error.log", "/b/logs", "/b/temporary", "/b/sock")
INCLUDED = Place(False, "/etc/nginx", "/etc/nginx/nginx.conf", "/etc/nginx/conf.d", "/run/nginx.pid", "/e.log", "/var/log/nginx", "", "")
SERVER = Server("app1:9090", "10.0.0.1:9090", is_up=True, is_backup=False)
SCRIPTS = sorted(
    name.removesuffix(".sh") for entry in files("balbook.commands").joinpath("scripts").iterdir() if (name := entry.name).endswith(".sh")
)


def content() -> str:
    """A small configuration with a generation."""
    blank = '# balbook: application hotel; changes…\nreturn 200 "0000000000000000\\n";\n'
    return blank.replace("0" * 16, sha256_of(blank)[:16])


def apply(place: Place = PLACE, path: str = "/b/conf.d/x.conf", **options: float) -> Command:
    return nginx.apply_configuration(place, path, content(), generation_port=8099, generation_host="balbook-hotel", **options)


def test_the_content_goes_to_standard_input_and_not_to_the_argv() -> None:
    command = apply()
    assert command.stdin == (content(),)
    assert not any("return 200" in word for word in command.argv)
    assert generation_of(content()) in command.argv


def test_a_value_is_an_argument_and_never_text_of_the_script() -> None:
    evil = "/b/$(touch x); '\".conf"
    assert apply(path=evil).argv[2] == apply().argv[2] == host_script("balancer_shared", "nginx_master", "nginx_apply")
    assert evil in apply(path=evil).argv


def test_the_distributions_nginx_is_tested_as_the_distribution_runs_it() -> None:
    assert "/etc/nginx/nginx.conf" not in apply(INCLUDED).argv
    assert "/b/nginx.conf" in apply(PLACE).argv


def test_the_deadline_covers_the_wait_for_old_workers_and_for_the_lock() -> None:
    assert apply(old_workers_within_s=300).deadline_s > 600


def test_a_replaced_file_must_begin_with_the_same_marker() -> None:
    assert nginx.marker_of(content()) == "# balbook: application hotel"
    assert (
        nginx.marker_of(render("balancer/nginx.conf.j2", name="p", user="", shutdown_timeout="1s", place=PLACE)) == "# balbook: balancer p"
    )


@pytest.mark.parametrize(
    "command",
    [
        apply(),
        nginx.start(PLACE, content()),
        nginx.stop(PLACE),
        nginx.is_running(PLACE, content()),
        nginx.is_applied("/x", content(), generation_port=1, generation_host="h"),
        nginx.through_balancer("http://127.0.0.1/", "app1", 9090),
        haproxy.apply_configuration(PLACE, content(), generation_port=8099),
        haproxy.put_states(PLACE, content(), "hotel", {SERVER.word: "drain"}),
        haproxy.are_states(PLACE, content(), "hotel", {SERVER.word: "drain"}),
        haproxy.stop(PLACE),
        is_healthy(9090, "/health"),
    ],
    ids=lambda command: command.argv[3],
)
def test_a_command_survives_being_written_into_a_plan(command: Command) -> None:
    assert written(command) == command


@pytest.mark.parametrize("name", SCRIPTS)
@pytest.mark.parametrize("shell", [s for s in ("dash", "bash") if shutil.which(s)])
def test_a_script_is_accepted_by_any_posix_shell(name: str, shell: str) -> None:
    argv = [shell, *(["--posix"] if shell == "bash" else []), "-n"]
    done = subprocess.run(argv, input=host_script(name), text=True, capture_output=True, timeout=10, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_file_whose_marker_only_begins_alike_is_foreign(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("marker") / "x.conf"
    check = host_script("balancer_shared") + '\nis_ours "$1" "$2"'
    for first, status in [
        ("# balbook: application hotel; x", 0),
        ("# balbook: application hotel", 0),
        ("# balbook: application hotels; x", 1),
    ]:
        path.write_text(f"{first}\n")
        done = subprocess.run(["sh", "-c", check, "t", str(path), "# balbook: application hotel"], timeout=10, check=False)
        assert done.returncode == status, first
