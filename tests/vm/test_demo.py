"""The demonstration on VMs: what it shows on loopback, on machines with systemd, sudo and apt."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from balbook.lab import demo, vm
from balbook.local.lab_place import lab_folder

pytestmark = [pytest.mark.vm, pytest.mark.load, pytest.mark.crash]  # minutes; loopback's demo is tested each time
RUNBOOKS = ["provision", "install", "pack_push", "consolidate", "build", "hot_deploy"]


def test_two_releases_are_deployed_and_no_request_is_lost(vm_environ: dict[str, str], tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "balbook.lab.demo", "vm"]
    done = subprocess.run(argv, cwd=tmp_path, env=vm_environ, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^failed +0$", done.stdout, re.MULTILINE)
    assert "All as it should be." in done.stdout
    paths = re.findall(r"^  (records/demo/\S+)$", done.stdout, re.MULTILINE)
    assert [Path(path).stem for path in paths if path.endswith(".ipynb")] == RUNBOOKS * 2
    assert all((tmp_path / path).stat().st_size > 1000 for path in paths)
    assert vm.left_of(lab_folder(demo.NAME, vm_environ)) == []
