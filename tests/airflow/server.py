"""A real Airflow on loopback in a folder of its own: `airflow standalone` over SQLite, and its public REST API."""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

SECONDS_TO_START = 180
SECONDS_TO_STOP = 10
DONE = ("success", "failed")
TRIES = 3
LOG = "standalone.log"
"""Below AIRFLOW_HOME: what all of its parts say."""


class ServerError(AssertionError):
    """Airflow's own failure: 500 and above."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def environment(program: Path, home: Path, port: int) -> dict[str, str]:
    """Airflow's settings; nothing of the caller's own Airflow or scorer."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("AIRFLOW", "SCORER_"))}
    return kept | {
        "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}",  # `standalone` starts `airflow` by its name
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__PARALLELISM": "2",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}",
        "AIRFLOW__API__WORKERS": "1",
        # SQLite admits one writer: who comes second waits for it, longer than the five seconds of Python's default.
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db?timeout=60",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "NO_PROXY": "127.0.0.1",
    }


@dataclass
class Airflow:
    """A running Airflow.

    Attributes:
        process: `airflow standalone`, leader of its own session.
        home: AIRFLOW_HOME.
    """

    process: "subprocess.Popen[bytes]"
    home: Path
    port: int
    _token: str = field(default="", repr=False)

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """One request to the public API, /api/v2; a question that fails in the server is asked again."""
        if not self._token:
            self._token = self._request("GET", "/auth/token", None)["access_token"]
        for _ in range(TRIES - 1 if method == "GET" else 0):
            with suppress(ServerError):
                return self._request(method, f"/api/v2{path}", body)
            time.sleep(1)
        return self._request(method, f"/api/v2{path}", body)

    def _request(self, method: str, path: str, body: Mapping[str, Any] | None) -> Any:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, headers, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=30) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            kind = ServerError if error.code >= 500 else AssertionError
            raise kind(f"{method} {path}: {error.code} {error.read().decode()[:2000]}") from None

    def trigger(self, dag: str, logical_date: str | None, **conf: Any) -> "Run":
        """A manual run."""
        made = self.call("POST", f"/dags/{dag}/dagRuns", {"logical_date": logical_date, "conf": conf})
        return Run(self, dag, made["dag_run_id"])

    def runs(self, dag: str, **like: str) -> list["Run"]:
        """Its runs in the order of their logical dates; for instance run_type="backfill"."""
        query = urllib.parse.urlencode({"limit": 100, "order_by": "logical_date", **like})
        return [
            Run(self, dag, found["dag_run_id"])
            for found in self.call("GET", f"/dags/{dag}/dagRuns?{query}")["dag_runs"]
        ]

    def events(self) -> list[dict[str, Any]]:
        """What was said of Assets, oldest first."""
        found: list[dict[str, Any]] = self.call("GET", "/assets/events?limit=100&order_by=timestamp")["asset_events"]
        return found

    def children(self) -> list[psutil.Process]:
        """Every process that it started, jobs in sessions of their own included."""
        with suppress(psutil.NoSuchProcess):
            return psutil.Process(self.process.pid).children(recursive=True)
        return []


@dataclass(frozen=True)
class Run:
    """One run of a DAG."""

    airflow: Airflow
    dag: str
    id: str

    @property
    def path(self) -> str:
        return f"/dags/{self.dag}/dagRuns/{urllib.parse.quote(self.id)}"

    def state(self) -> str:
        found: str = self.airflow.call("GET", self.path)["state"]
        return found

    def tasks(self, task: str = "score") -> list[dict[str, Any]]:
        """The mapped instances of a task, by map_index."""
        found = self.airflow.call("GET", f"{self.path}/taskInstances?limit=100")["task_instances"]
        return sorted((each for each in found if each["task_id"] == task), key=lambda each: int(each["map_index"]))

    def xcom(self, task: str = "score", map_index: int = 0) -> Any:
        """What a task returned, or left behind when it failed."""
        query = f"map_index={map_index}&deserialize=true"
        return self.airflow.call("GET", f"{self.path}/taskInstances/{task}/xcomEntries/return_value?{query}")["value"]

    def log(self, attempt: int, task: str = "score", map_index: int = 0) -> list[str]:
        """What a task said at one try, an entry a line, with the errors that it ended by."""
        path = f"{self.path}/taskInstances/{task}/logs/{attempt}?map_index={map_index}&full_content=true"
        lines = []
        for entry in self.airflow.call("GET", path)["content"]:
            said = entry if isinstance(entry, str) else entry.get("event", "")
            errors = [] if isinstance(entry, str) else entry.get("error_detail") or []
            lines += [said, *(f"{error.get('exc_type')}: {error.get('exc_value')}" for error in errors)]
        return lines

    def clear(self, task: str = "score") -> None:
        """Have a task done again, as somebody does in the UI."""
        body = {"dry_run": False, "dag_run_id": self.id, "task_ids": [task], "only_failed": False}
        self.airflow.call("POST", f"/dags/{self.dag}/clearTaskInstances", body)

    def wait(self, seconds: float = 180) -> str:
        """Its state once it is done."""
        until(lambda: self.state() in DONE, seconds, f"{self.dag} {self.id} is done")
        return self.state()


def until(happened: Callable[[], bool], seconds: float, what: str, every: float = 0.5) -> None:
    """Wait for something."""
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            raise AssertionError(f"After {seconds:.0f} s still not: {what}.")
        time.sleep(every)


@contextmanager
def serving(program: Path, home: Path, settings: Mapping[str, str]) -> Iterator[Airflow]:
    """`airflow standalone` until the context ends; all that it started ends with it.

    Args:
        program: the console script.
        home: an empty folder with a folder dags.
        settings: added to its environment.
    """
    port = free_port()
    log = home / LOG
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program, "standalone"],
            env={**environment(program, home, port), **settings},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    airflow = Airflow(process, home, port)
    try:
        until(lambda: _is_up(airflow, log), SECONDS_TO_START, f"Airflow is up (see {log})")
        yield airflow
    finally:
        _end(airflow)


def _is_up(airflow: Airflow, log: Path) -> bool:
    if airflow.process.poll() is not None:
        raise AssertionError(f"Airflow ended:\n{log.read_text(errors='replace')[-4000:]}")
    try:
        health = airflow.call("GET", "/monitor/health")
    except (OSError, AssertionError):
        return False
    parts = ("metadatabase", "scheduler", "dag_processor")
    return all((health.get(part) or {}).get("status") == "healthy" for part in parts)


def _end(airflow: Airflow) -> None:
    children = airflow.children()
    with suppress(ProcessLookupError):
        os.killpg(airflow.process.pid, signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        airflow.process.wait(SECONDS_TO_STOP)
    for child in children:
        with suppress(psutil.NoSuchProcess):
            child.kill()
    airflow.process.kill()
    airflow.process.wait()
