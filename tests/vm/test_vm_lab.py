"""A lab of VMs comes up and goes down without a trace, also where it was interrupted, beside others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from balbook.errors import Refused
from balbook.lab import loopback, vm, vm_host, vm_image, vm_needs, vm_network
from balbook.local.lab_place import lab_folder
from tests.integration.hotel import printed_json, until
from tests.vm.machines import Machines

pytestmark = pytest.mark.vm


def traces(folder: Path) -> dict[str, set[str]]:
    """What a lab could leave on this machine, beside its folder, and below it of mounts: other tests mount things too."""
    nspawn = Path("/run/systemd/nspawn")
    folders = [Path("/run/netns"), Path("/sys/class/net"), Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified")]
    folders += [Path("/sys/fs/cgroup/systemd"), nspawn / "locks", nspawn / "propagate"]
    found = {str(folder): {p.name for p in folder.iterdir()} for folder in folders if folder.is_dir()}
    found["processes"] = {p for p in processes() if "systemd-nspawn" in p}
    return found | {"mounts": set(vm_host.mounts_below(folder))}


def processes() -> list[str]:
    shown = subprocess.run(["ps", "-ww", "-eo", "pid=,args="], capture_output=True, text=True, check=True)
    return shown.stdout.splitlines()


def test_a_second_lab_comes_up_beside_the_first_and_goes_down_without_a_trace(machines: Machines) -> None:
    folder = lab_folder("second", machines.environ)
    before = traces(folder)
    up = machines.balbook("lab", "up", "--backend", "vm", "--hosts", "2", "--name", "second")
    try:
        assert up.returncode == 0, up.stderr
        assert vm.left_of(folder)
        status = printed_json(machines.balbook("lab", "status", "--name", "second", "--json"))
        assert (status["backend"], status["is_running"], status["is_left_over"]) == ("vm", True, False)
        assert [(h["name"], h["is_alive"]) for h in status["hosts"]] == [("app1", True), ("lb1", True)]
        assert [i["is_alive"] for i in status["instances"]] == [False], "nothing is deployed"
        others = {machines.address(host) for host in machines.inventory.hosts}
        assert not others & {h["address"] for h in status["hosts"]}
    finally:
        down = machines.balbook("lab", "down", "--name", "second")
    assert down.returncode == 0, down.stderr
    assert vm.left_of(folder) == []
    assert traces(folder) == before
    assert machines.balbook("lab", "down", "--name", "second").stdout == "lab second: was not there\n"
    assert len(machines.running()) == 2, "the first lab does not notice"


def test_what_a_killed_start_left_is_seen_and_removed(machines: Machines) -> None:
    folder = lab_folder("cut", machines.environ)
    before = traces(folder)
    argv = [sys.executable, "-m", "balbook", "lab", "up", "--backend", "vm", "--hosts", "1", "--name", "cut"]
    process = subprocess.Popen(argv, env=machines.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: any("nspawn" in line and f"{folder}/" in line for line in processes()), 30, "a host that boots")
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    (folder / "lab.json").write_text("{")
    status = printed_json(machines.balbook("lab", "status", "--name", "cut", "--json"))
    assert (status["backend"], status["is_running"], status["is_left_over"]) == ("vm", False, True)
    assert machines.balbook("lab", "down", "--name", "cut").returncode == 0
    assert vm.left_of(folder) == []
    assert traces(folder) == before


def test_a_lab_that_is_up_is_kept_and_shows_what_listens(machines: Machines) -> None:
    kept = vm.up("default", environ=machines.environ)
    assert kept.folder == machines.lab.folder
    status = vm.status("default", environ=machines.environ)
    assert [e.is_alive for e in (*status.hosts, *status.instances, *status.balancers)] == [True] * 7
    with pytest.raises(Refused, match="backend vm"):
        loopback.down("default", environ=machines.environ)


def test_a_host_that_was_switched_off_is_booted_again(machines: Machines) -> None:
    def is_on() -> bool:
        return {e.name: e.is_alive for e in vm.status("default", environ=machines.environ).hosts}["build1"]

    machines.run("build1", "touch /root/kept; systemctl poweroff")
    until(lambda: not is_on(), 30, "build1 goes off")
    vm.up("default", environ=machines.environ)
    assert is_on()
    assert machines.run("build1", "ls /root").stdout == "kept\n", "it is the same machine"


def test_namespaces_are_named_by_the_folder_of_the_lab(machines: Machines) -> None:
    word = vm_network.word_of(machines.lab.folder)
    expected = {word, *(f"{word}-{host}" for host in machines.inventory.hosts)}
    assert expected <= {p.name for p in Path("/run/netns").iterdir()}


def test_a_changed_base_image_is_not_used(machines: Machines) -> None:
    image = machines.lab.folder.parent / vm_needs.BASE / vm_image.name_of(vm_image.recipe())
    assert vm_image.is_whole(image)
    stray = image / "root" / "stray"
    seen = (image / "root").stat()
    stray.touch()
    try:
        assert not vm_image.is_whole(image)
    finally:
        stray.unlink()
        os.utime(image / "root", ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert vm_image.is_whole(image)
