"""Where a change goes: a fact, a kind of balancer, a runbook, a field of the inventory, each tried by some ten lines in a copy."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COPIED = ("balbook", "templates", "runbooks", "tests/facts", "tests/data/facts", "tests/small_fleet.py")


@dataclass(frozen=True)
class Copy:
    """A copy of the project, in a folder of its own."""

    folder: Path

    def write(self, path: str, text: str) -> None:
        """A file that was not there."""
        assert not (self.folder / path).exists()
        (self.folder / path).write_text(text, encoding="utf-8")

    def edit(self, path: str, old: str, new: str) -> None:
        """The one place where `old` stands becomes `new`."""
        text = (self.folder / path).read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{path} has it {text.count(old)} times: {old}"
        (self.folder / path).write_text(text.replace(old, new), encoding="utf-8")

    def run(self, *arguments: str, status: int = 0) -> str:
        """What Python says, with the copy in the place of the project."""
        environ = {**os.environ, "PYTHONPATH": str(self.folder), "PYTHONDONTWRITEBYTECODE": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        argv = [sys.executable, *arguments]
        done = subprocess.run(argv, cwd=self.folder, env=environ, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    for name in COPIED:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy2)(ROOT / name, tmp_path / name)
    copy = Copy(tmp_path)
    assert copy.run("-c", "import balbook; print(balbook.__file__)").strip() == str(tmp_path / "balbook" / "__init__.py")
    return copy


def test_a_fact_is_a_command_with_its_parser_and_a_file_of_what_a_host_printed(copy: Copy) -> None:
    copy.write(
        "balbook/facts/uptime.py",
        '''"""How long a host has been up."""

from balbook.commands.command import script
from balbook.facts import Fact


def uptime() -> Fact[float]:
    """Seconds since the host was booted; 0 where it does not say."""
    return Fact(script("uptime", "cat /proc/uptime"), lambda output: float((output.split() or ["0"])[0]))
''',
    )
    said = {"fact": "facts.uptime.uptime", "arguments": [], "command": ["uptime"], "output": "350735.47 234388.90\n", "value": 350735.47}
    copy.write("tests/data/facts/uptime.json", json.dumps(said))
    assert "2 passed" in copy.run("-m", "pytest", "-q", "tests/facts/test_facts.py", "-k", "uptime")


def test_a_kind_of_balancer_is_a_row_of_traits_a_template_and_a_row_of_fronts(copy: Copy) -> None:
    """Tengine is an NGINX, with active checks of its own. A program of its own takes a `Front` too, and its commands."""
    copy.edit("balbook/inventory/balancers.py", '"nginx_plus", "haproxy"]', '"nginx_plus", "haproxy", "tengine"]')
    row = '    "tengine": Traits("nginx", "tengine_app.conf.j2", is_packaged=False, has_active_checks=True),\n'
    copy.edit("balbook/inventory/balancers.py", '    "haproxy": Traits(\n', row + '    "haproxy": Traits(\n')
    copy.edit(
        "templates/balancer/nginx_app.conf.j2", "{% endfor %}\n}\n\n# Only", "{% endfor %}\n{% block upstream %}{% endblock %}\n}\n\n# Only"
    )
    copy.write(
        "templates/balancer/tengine_app.conf.j2",
        """{% extends "balancer/nginx_app.conf.j2" %}
{% block upstream %}
    check interval=1000 rise={{ application.health.passes }} fall=2 type=http;
    check_http_send "GET {{ application.health.path }} HTTP/1.0\\r\\n\\r\\n";
{% endblock %}
""",
    )
    copy.edit("balbook/procedures/parts/balancing.py", '"haproxy": HaproxyFront,', '"haproxy": HaproxyFront, "tengine": NginxFront,')
    said = copy.run(
        "-c",
        """
from pathlib import Path
from balbook.record.journal import Journal
from balbook.testing import FakeFleet
from tests.small_fleet import carry_out, edit_inventory, make_plan, publish, write_inventory

fleet = FakeFleet(write_inventory(Path("fleet")))
public = {"host": "lb1", "kind": "tengine", "configuration": "own", "listen": 18080, "generation_port": 18099}
edit_inventory(fleet, balancers={"public": public})
publish(fleet.inventory, "1.0.0")
for runbook, given in (("provision", {}), ("hot_deploy", {"strategy": "active_active_checked"})):
    applied = carry_out(fleet, make_plan(fleet, runbook, **given), Journal(Path(f"{runbook}.jsonl")))
    print(runbook, applied.verdict, applied.why)
print(*fleet.hosts["lb1"].in_force.values())
""",
    )
    assert "hot_deploy succeeded" in said
    assert 'check_http_send "GET /health HTTP/1.0' in said
    assert "tengine" in copy.run("-m", "balbook", "schema")


def test_a_runbook_is_a_notebook_and_its_procedure_beside_it(copy: Copy) -> None:
    copy.run("-m", "balbook", "new-runbook", "say_hello")
    copy.edit("say_hello.py", "the note is there", "the login says hello")
    copy.edit("say_hello.py", "/notes/say_hello", "/motd.d/hello")
    copy.edit("say_hello.py", 'root}/notes"]', 'root}/motd.d"]')
    assert "1 of 1 runbooks" in copy.run("-m", "balbook", "check", "say_hello.ipynb")
    said = copy.run(
        "-c",
        """
from pathlib import Path
from balbook.procedures import procedure
from balbook.procedures.parts.site import Site
from balbook.testing import FakeTransport
from tests.small_fleet import write_inventory

site = Site(write_inventory(Path("fleet")), FakeTransport({"is-there": 1}), {"hosts": [], "text": "hello"})
for step in procedure("say_hello").plan(site).pending:
    print(step.host, step.title, step.actions[-1].command.argv[-2:])
""",
    )
    assert "app2 the login says hello ('/opt/balbook/motd.d/hello', '0644')" in said


def test_a_field_of_the_inventory_is_a_line_with_its_type_and_what_it_means(copy: Copy) -> None:
    field = '    rack: Name | None = None\n    """Label of the rack that it stands in; unset: not known."""\n'
    os_packages = '    os_packages: list[Name] = []\n    """Packages of the operating system beside'
    copy.edit("balbook/inventory/models.py", os_packages, field + os_packages)
    schema = json.loads(copy.run("-m", "balbook", "schema"))
    assert schema["$defs"]["Host"]["properties"]["rack"]["description"].startswith("Label of the rack")
    read = """
from pathlib import Path
from balbook.inventory import read_inventory
print(read_inventory(Path("inventory.yaml")).hosts["app1"].rack)
"""
    copy.write("inventory.yaml", "version: 1\nhosts:\n  app1: {address: 10.0.0.21, roles: [app], rack: B7}\n")
    assert copy.run("-c", read) == "B7\n"
    copy.edit("inventory.yaml", "rack: B7", "rakc: B7")
    assert "Did you mean 'rack'?" in copy.run("-c", read, status=1)
