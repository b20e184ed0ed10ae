"""The probe's process, seen from outside: start, marks, progress, findings."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

import balbook
from balbook.errors import BadInput, Failed
from balbook.probe.config import ProbeConfig, config_from
from balbook.probe.judge import Findings, ProcessFacts, findings_from, judge
from balbook.probe.phases import read_marks
from balbook.probe.recorder import PROGRESS, write_json
from balbook.probe.samples import read_samples

CONFIG = "config.json"
LOG = "probe.log"
SUMMARY = "summary.json"
START_WITHIN_S = 15.0
_CODE = Path(next(iter(balbook.__path__))).parent


class ProbeProcess:
    """The probe's process; used as a context it starts the probe, and ends it in any case.

    Its files go to `config.out_dir`, which must not hold those of an earlier run.
    """

    def __init__(self, config: ProbeConfig) -> None:
        self.config = config
        self.out_dir = Path(config.out_dir)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """The process id of the probe, once it was started."""
        return self._process.pid if self._process else None

    def start(self, within_s: float = START_WITHIN_S) -> Self:
        """Start the probe and wait for its first acknowledged request, `within_s` seconds once it sends.

        Raises Failed, with the probe ended, where none is acknowledged in time.
        """
        self.out_dir.mkdir(parents=True, exist_ok=True)
        if (self.out_dir / CONFIG).exists():
            raise BadInput(f"{self.out_dir} already holds the files of a probe", advice="Give every probe a directory of its own.")
        write_json(self.out_dir / CONFIG, self.config.data())
        argv = [sys.executable, "-m", "balbook.probe", str((self.out_dir / CONFIG).resolve())]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(_CODE), *filter(None, [os.environ.get("PYTHONPATH")])])}
        with (self.out_dir / LOG).open("wb") as log:
            self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True, env=env)
        try:
            self._wait_for_answer(within_s)
        except BaseException:
            self.close()
            raise
        return self

    def phase(self, name: str) -> None:
        """Mark a phase (`before`, `during`, `after`) or an instance's state (`app1:9090 draining`) from now on."""
        self._tell(f"phase {' '.join(name.split())}\n")

    def progress(self) -> dict[str, Any]:
        """The probe's own counts, at most half a second old (see `recorder.Progress`); empty before the first."""
        with contextlib.suppress(FileNotFoundError):
            return dict(json.loads((self.out_dir / PROGRESS).read_text(encoding="utf-8")))
        return {}

    def stop(self) -> Findings:
        """Send nothing more, wait for what is in flight, and return the findings."""
        self._tell("stop\n")
        if self._process:
            # In-flight requests end within their timeout; a minute is for the judging of millions of samples.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(self.config.timeout_s + 60)
        self.close()
        return read_findings(self.out_dir)

    def close(self) -> None:
        """Ends the process by its own pid, gently first."""
        if not self._process:
            return
        if self._process.stdin:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        for number, grace_s in ((signal.SIGTERM, 2.0), (signal.SIGKILL, 10.0)):
            if self._process.poll() is None:
                self._process.send_signal(number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(grace_s)

    def _wait_for_answer(self, within_s: float) -> None:
        assert self._process
        deadline, is_sending = time.monotonic() + START_WITHIN_S + within_s, False
        while not (progress := self.progress()).get("acknowledged"):
            if progress.get("sent") and not is_sending:
                deadline, is_sending = time.monotonic() + within_s, True
            if self._process.poll() is not None and not (self.out_dir / SUMMARY).exists():
                log = (self.out_dir / LOG).read_text(encoding="utf-8", errors="replace").strip()
                raise Failed(f"the probe did not start: {log[-800:] or 'it printed nothing'}", advice=f"See {self.out_dir / LOG}.")
            if time.monotonic() > deadline or self._process.poll() is not None:
                kinds = ", ".join(f"{count} {kind}" for kind, count in progress.get("kinds", {}).items()) or "no answer"
                where = f"{self.config.connect_to or self.config.host}:{self.config.port}"
                advice = "See that the balancer runs, that an instance is healthy, and that the path is right."
                raise Failed(f"{where} acknowledged no request of the probe within {within_s:g} s: {kinds}", advice=advice)
            time.sleep(0.02)

    def _tell(self, line: str) -> None:
        if self._process and self._process.stdin and not self._process.stdin.closed:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write(line.encode())
                self._process.stdin.flush()


def read_config(out_dir: Path | str) -> ProbeConfig:
    """The configuration of the probe that wrote `out_dir`."""
    return config_from(json.loads((Path(out_dir) / CONFIG).read_text(encoding="utf-8")))


def read_findings(out_dir: Path | str) -> Findings:
    """The findings of a probe that has ended; a probe that was killed is judged by its samples, and not trusted."""
    directory = Path(out_dir)
    if (directory / SUMMARY).exists():
        return findings_from(json.loads((directory / SUMMARY).read_text(encoding="utf-8"))["findings"])
    if not (directory / CONFIG).exists():
        raise BadInput(f"{directory} does not hold the files of a probe", advice="Name the directory that the probe wrote to.")
    return judge(read_samples(directory), read_marks(directory), read_config(directory), ProcessFacts())
