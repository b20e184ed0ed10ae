"""Who is told of a run, and the file for Prometheus."""

from __future__ import annotations

import http.server
import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from balbook.engine import notify as notice
from balbook.inventory import Inventory, read_inventory
from balbook.record.journal import Journal
from balbook.secrets.references import Scrubber
from balbook.secrets.secret_ref import SecretRef
from tests.journals import lines

HEARD: list[tuple[str, Any]] = []


class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        HEARD.append((self.headers.get("Authorization", ""), json.loads(body)))
        self.send_response(204 if self.path == "/ok" else 500)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def webhook() -> Iterator[str]:
    HEARD.clear()
    server = http.server.HTTPServer(("127.0.0.1", 0), Hook)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def inventory(folder: Path, notify: str) -> Inventory:
    path = folder / "inventory.yaml"
    path.write_text(f"version: 1\nhosts: {{app1: {{address: 10.0.0.1, roles: [app]}}}}\n{notify}\n")
    return read_inventory(path)


def reveal(reference: SecretRef) -> str:
    return f"revealed {reference.reference}"


def tell(folder: Path, notify: str) -> list[dict[str, Any]]:
    journal = Journal(folder / "journal.jsonl")
    notice.tell(inventory(folder, notify), journal, "verdict", {"verdict": "failed", "run_id": "1"}, reveal)
    return lines(journal)


def test_a_webhook_gets_one_object_and_the_token(tmp_path: Path, webhook: str) -> None:
    (noted,) = tell(tmp_path, f"notify: {{webhook: '{webhook}/ok', token: 'env:HOOK'}}")
    assert HEARD == [("Bearer revealed env:HOOK", {"what": "verdict", "verdict": "failed", "run_id": "1"})]
    assert noted["channel"] == "webhook"
    assert "problem" not in noted
    assert "revealed" not in json.dumps(noted)


@pytest.mark.parametrize("path", ["/fails", ""])
def test_a_webhook_that_fails_is_a_line_in_the_journal_and_no_error(tmp_path: Path, webhook: str, path: str) -> None:
    url = f"{webhook}{path}" if path else "http://127.0.0.1:1/nobody"
    (noted,) = tell(tmp_path, f"notify: {{webhook: '{url}'}}")
    assert noted["problem"]


def test_a_command_gets_the_line_on_standard_input(tmp_path: Path) -> None:
    code = "import sys, pathlib; pathlib.Path('heard').write_text(sys.stdin.read())"
    (noted,) = tell(tmp_path, f'notify: {{command: [{sys.executable}, -c, "{code}"]}}')
    assert "problem" not in noted, noted
    assert json.loads((tmp_path / "heard").read_text())["verdict"] == "failed"


def test_a_command_that_fails_is_a_line_in_the_journal(tmp_path: Path) -> None:
    (noted,) = tell(tmp_path, "notify: {command: ['false']}")
    assert noted["problem"].startswith("status 1")


def test_nobody_is_told_where_nobody_is_named(tmp_path: Path) -> None:
    assert tell(tmp_path, "") == []


def write(path: Path, application: str = "hotel", **options: Any) -> dict[str, str]:
    usual: dict[str, Any] = {"verdict": "succeeded", "seconds": 12.5, "failed": 0, "at_s": 1_700_000_000.0}
    notice.write_metrics(path, application, "hot_deploy", **{**usual, **options})
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    return {name: value for name, _, value in (line.rpartition(" ") for line in lines)}


def test_the_textfile_says_verdict_duration_and_failed_requests(tmp_path: Path) -> None:
    found = write(tmp_path / "balbook.prom", failed=3)
    label = 'application="hotel",runbook="hot_deploy"'
    assert found[f'balbook_last_run_verdict{{{label},verdict="succeeded"}}'] == "1"
    assert found[f'balbook_last_run_verdict{{{label},verdict="failed"}}'] == "0"
    assert found[f"balbook_last_run_duration_seconds{{{label}}}"] == "12.500"
    assert found[f"balbook_last_run_failed_requests{{{label}}}"] == "3"


def test_the_textfile_replaces_its_own_lines_and_keeps_those_of_others(tmp_path: Path) -> None:
    path = tmp_path / "balbook.prom"
    one = write(path)
    both = write(path, "inn", verdict="failed")
    assert len(both) == 2 * len(one)
    again = write(path, "inn", failed=9)
    assert len(again) == len(both)
    assert again['balbook_last_run_failed_requests{application="inn",runbook="hot_deploy"}'] == "9"
    assert again['balbook_last_run_failed_requests{application="hotel",runbook="hot_deploy"}'] == "0"


def test_every_metric_is_explained_once(tmp_path: Path) -> None:
    write(tmp_path / "balbook.prom")
    write(tmp_path / "balbook.prom", "inn")
    text = (tmp_path / "balbook.prom").read_text()
    for name in notice.HEAD:
        assert text.count(f"# HELP {name} ") == text.count(f"# TYPE {name} gauge") == 1


def test_nothing_of_a_half_written_file_is_left(tmp_path: Path) -> None:
    write(tmp_path / "balbook.prom")
    assert [p.name for p in tmp_path.iterdir()] == ["balbook.prom"]


def test_what_a_command_says_is_scrubbed_before_it_is_shortened(tmp_path: Path) -> None:
    scrubber = Scrubber()
    scrubber.remember("env:CANARY", "Canary-Secret-1")
    journal = Journal(tmp_path / "journal.jsonl", clean=scrubber.data)
    code = "import sys; sys.exit('Canary-Secret-1' + 195 * '.')"
    notice.tell(inventory(tmp_path, f'notify: {{command: [{sys.executable}, -c, "{code}"]}}'), journal, "verdict", {}, reveal)
    problem = lines(journal)[-1]["problem"]
    assert "ret-1" not in problem
    assert len(problem) < 220
