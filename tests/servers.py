"""S3 servers for the tests: each a process on a free loopback port, with an empty store that dies with it.

moto: quick, in memory, takes any secret. The gateway: juicefs over local files, which checks signatures, behind a proxy
that enforces conditional PUT and injects faults. Both live for a test session of one worker; buckets are never shared.
"""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from tests.s3_proxy import CONTROL, Fault

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

REGION = "us-east-1"
SECONDS_TO_START = 30
SECONDS_TO_STOP = 5
GATEWAY_FLAGS = (
    "--multi-buckets",
    "--keep-etag",  # without it every ETag is empty
    "--object-tag",
    "--object-meta",
    "--no-banner",
    "--no-usage-report",
    *("--attr-cache", "0", "--dir-entry-cache", "0", "--cache-size", "64", "--backup-meta", "0"),
)


@dataclass(frozen=True)
class S3Server:
    """A running S3 server and the keys to it."""

    endpoint: str
    access_key: str = "tests-access-key"
    secret_key: str = "tests-secret-key"

    def environment(self) -> dict[str, str]:
        """What a process needs to find this server and no other by boto3's, obstore's or pyarrow's default chain."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            # pyarrow's writes: otherwise it sends a checksum trailer without a length, and the gateway answers 411.
            "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
            "NO_PROXY": "127.0.0.1",
        }

    def client(self, *, secret_key: str | None = None) -> "S3Client":
        """A raw client: no retries, so that a test sees what the server did."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=secret_key or self.secret_key,
            config=Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=20),
        )

    def new_bucket(self) -> str:
        """The name of a fresh bucket."""
        name = f"tests-{uuid.uuid4().hex[:16]}"
        self.client().create_bucket(Bucket=name)
        return name


@dataclass(frozen=True)
class FaultyS3Server(S3Server):
    """A server that can be told to misbehave."""

    def inject(self, *faults: Fault) -> None:
        """From now on these faults and no others; counts start anew."""
        self._control("PUT", json.dumps([asdict(fault) for fault in faults]).encode())

    def heal(self) -> None:
        """No faults any more; counts start anew."""
        self._control("DELETE")

    def injected(self) -> list[int]:
        """How often each fault was injected."""
        return list(self._control("GET")["injected"])

    def requests(self, method: str, key: str = "") -> list[str]:
        """Paths (/bucket/key) of the requests since the last change of faults whose path contains `key`."""
        return [path for verb, path in self._control("GET")["requests"] if verb == method and key in path]

    def _control(self, method: str, body: bytes | None = None) -> Any:
        request = urllib.request.Request(self.endpoint + CONTROL, data=body, method=method)
        with _direct().open(request, timeout=10) as answer:
            return json.loads(answer.read() or b"null")


@contextmanager
def moto(folder: Path) -> Iterator[S3Server]:
    """The quick server. Its log lies in `folder`."""

    def command(port: int) -> list[str]:
        return [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]

    with _serving("moto", command, folder) as endpoint:
        yield S3Server(endpoint)


@contextmanager
def gateway(folder: Path) -> Iterator[FaultyS3Server]:
    """The strict server. Its objects, its database and its logs lie in `folder`."""
    keys = S3Server("")
    database = f"sqlite3://{folder}/meta.db"
    juicefs = str(Path(sys.executable).with_name("juicefs"))
    form = [juicefs, "format", "--storage", "file", "--bucket", f"{folder}/objects/", "--trash-days", "0"]
    subprocess.run([*form, database, "tests"], check=True, capture_output=True)

    def server(port: int) -> list[str]:
        places = ["--log", f"{folder}/gateway.log", "--cache-dir", f"{folder}/cache"]
        return [juicefs, "gateway", database, f"127.0.0.1:{port}", *GATEWAY_FLAGS, *places]

    root = {"MINIO_ROOT_USER": keys.access_key, "MINIO_ROOT_PASSWORD": keys.secret_key}
    with _serving("gateway", server, folder, root) as upstream:

        def proxy(port: int) -> list[str]:
            credentials = json.dumps([keys.access_key, keys.secret_key])
            script = str(Path(__file__).with_name("s3_proxy.py"))
            return [sys.executable, script, "--port", str(port), "--upstream", upstream, "--credentials", credentials]

        with _serving("proxy", proxy, folder) as endpoint:
            server_with_faults = FaultyS3Server(endpoint)
            server_with_faults.heal()
            yield server_with_faults


@contextmanager
def _serving(
    name: str, command: Callable[[int], list[str]], folder: Path, environment: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Run a server until the context ends; yields its endpoint once it answers HTTP."""
    port = _free_port()
    log = folder / f"{name}.out"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command(port),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
        )
    try:
        _wait_until_it_answers(name, process, port, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        try:
            process.wait(SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_it_answers(name: str, process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError):
            with suppress(urllib.error.HTTPError):  # a refusal is an answer too
                _direct().open(f"http://127.0.0.1:{port}/", timeout=5).close()
            return
        time.sleep(0.02)
    raise RuntimeError(f"The {name} server did not start (exit status {process.poll()}):\n{log.read_text()}")


def _direct() -> urllib.request.OpenerDirector:
    """HTTP without the machine's proxy settings."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
