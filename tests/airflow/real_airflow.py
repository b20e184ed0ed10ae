"""A real Airflow: installed once, its home, and runs of DAGs in it."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import balbook

ROOT = Path(balbook.__file__).parents[1]
REQUIREMENTS = Path(__file__).with_name("requirements.txt")
INSTALL_WITHIN_S = 600
RUN_WITHIN_S = 240


def installed() -> Path:
    """The folder of the virtual environment; made where it is not there, which takes a minute."""
    digest = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:12]
    folder = ROOT / ".cache" / f"airflow-{digest}-py{sys.version_info.major}.{sys.version_info.minor}"
    whole = folder / "installed"
    if not whole.exists():
        venv.create(folder, clear=True)
        pip = [sys.executable, "-m", "pip", "--python", str(folder), "install", "--no-input", "--disable-pip-version-check"]
        quick = ["--progress-bar", "off", "--no-compile", "--no-deps", "-r", str(REQUIREMENTS)]  # most of it is never imported
        done = subprocess.run([*pip, *quick], capture_output=True, text=True, timeout=INSTALL_WITHIN_S, check=False)
        if done.returncode:
            pytest.skip(f"Airflow cannot be installed here: {done.stderr[-600:]}")
        whole.touch()
    return folder


@dataclass(frozen=True)
class Airflow:
    """`environment`: where it is installed. `home` has its database and its DAGs."""

    environment: Path
    home: Path

    @property
    def dags(self) -> Path:
        return self.home / "dags"

    @property
    def environ(self) -> dict[str, str]:
        """What Airflow and its tasks see: nothing of this interpreter's environment but the path to the kernel."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("BALBOOK", "AIRFLOW", "PYTHON", "VIRTUAL_ENV", "PIP"))}
        return {
            **kept,
            "PATH": f"{self.environment / 'bin'}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.dags),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            "JUPYTER_PATH": str(self.home / "kernel" / "share" / "jupyter"),
            "NO_COLOR": "1",
        }

    def set_up(self, pool: str) -> None:
        """The database, the pool, and the kernel that the DAGs' comments ask for."""
        self.dags.mkdir()
        self.call("db", "migrate")
        self.call("pools", "set", pool, "1", "one deployment at a time")
        kernel = [sys.executable, "-m", "ipykernel", "install", "--prefix", str(self.home / "kernel"), "--name", "balbook"]
        subprocess.run(kernel, check=True, capture_output=True, timeout=60)

    def call(self, *words: str, within_s: float = 90) -> str:
        """One command of Airflow's to its end; what it printed."""
        argv = [str(self.environment / "bin" / "airflow"), *words]
        done = subprocess.run(argv, env=self.environ, cwd=self.home, capture_output=True, text=True, timeout=within_s, check=False)
        assert done.returncode == 0, (words, done.stdout[-3000:], done.stderr[-3000:])
        return done.stdout

    def import_errors(self) -> dict[str, str]:
        """What the DagBag says of the files in the folder."""
        script = "import json, sys; from airflow.dag_processing.dagbag import DagBag; bag = DagBag(sys.argv[1]); "
        script += "print('\\n' + json.dumps([bag.import_errors, sorted(bag.dags)]))"
        argv = [str(self.environment / "bin" / "python"), "-c", script, str(self.dags)]
        done = subprocess.run(argv, env=self.environ, cwd=self.home, capture_output=True, text=True, timeout=90, check=True)
        errors, ids = json.loads(done.stdout.splitlines()[-1])
        assert ids, done.stderr[-2000:]
        return {str(path): str(error) for path, error in errors.items()}

    def start(self, dag_id: str, conf: dict[str, Any], log: Path) -> subprocess.Popen[bytes]:
        """A run of a DAG, all tasks with their retries."""
        argv = [str(self.environment / "bin" / "airflow"), "dags", "test", dag_id, "--conf", json.dumps(conf)]
        with log.open("wb") as file:
            return subprocess.Popen(argv, env=self.environ, cwd=self.home, stdin=subprocess.DEVNULL, stdout=file, stderr=file)

    def run(self, dag_id: str, conf: dict[str, Any], log: Path) -> str:
        """A run of a DAG to its end; its state."""
        self.start(dag_id, conf, log).wait(RUN_WITHIN_S)
        return self.state(dag_id)

    def state(self, dag_id: str) -> str:
        """The state of the last run."""
        return str(self._ask("select state from dag_run where dag_id = ? order by id desc limit 1", dag_id)[0][0])

    def tasks(self, dag_id: str) -> dict[str, tuple[str, int]]:
        """State and number of tries of each task of the last run."""
        asked = "select task_id, state, try_number from task_instance where dag_id = ? and run_id = "
        asked += "(select run_id from dag_run where dag_id = task_instance.dag_id order by id desc limit 1)"
        return {task: (state, tries) for task, state, tries in self._ask(asked, dag_id)}

    def _ask(self, query: str, *values: str) -> list[Any]:
        with sqlite3.connect(self.home / "airflow.db", timeout=30) as database:
            return database.execute(query, values).fetchall()
