"""An S3 server on loopback while something is measured: a juicefs gateway over local files; it checks signatures."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import boto3
import psutil
from botocore.config import Config

ACCESS_KEY, SECRET_KEY = "bench-access-key", "bench-secret-key"
BUCKET = "bench"
FLAGS = (
    "--multi-buckets",
    "--keep-etag",  # without it every ETag is empty
    "--object-tag",
    "--object-meta",
    "--no-banner",
    "--no-usage-report",
    *("--attr-cache", "300", "--entry-cache", "300", "--dir-entry-cache", "300"),  # 0.7 CPU ms a GET instead of 1.2
    *("--cache-size", "64", "--backup-meta", "0"),
)


@dataclass(frozen=True)
class Gateway:
    """A running server with one bucket.

    Attributes:
        endpoint: its URL.
        process: for its CPU seconds and its memory.
    """

    endpoint: str
    process: psutil.Process

    @property
    def environment(self) -> dict[str, str]:
        """What sends boto3, obstore and pyarrow here and nowhere else."""
        return {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": "127.0.0.1",
        }

    def upload(self, files: Mapping[str, Path]) -> None:
        """Key -> file, eight at a time."""
        client = _client(self.endpoint)

        def put(item: tuple[str, Path]) -> None:
            client.put_object(Bucket=BUCKET, Key=item[0], Body=item[1].read_bytes())

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(put, files.items()))

    def read(self, prefix: str, name: str) -> bytes:
        """The one object below a prefix whose key ends with `name`."""
        client = _client(self.endpoint)
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        (key,) = (item["Key"] for page in pages for item in page.get("Contents", ()) if item["Key"].endswith(name))
        return bytes(client.get_object(Bucket=BUCKET, Key=key)["Body"].read())


@contextmanager
def gateway(folder: Path) -> Iterator[Gateway]:
    """Serve an empty bucket until the context ends. Objects, database and log lie in `folder`, which must be new."""
    folder.mkdir(parents=True)
    database = f"sqlite3://{folder}/meta.db"
    juicefs = str(Path(sys.executable).with_name("juicefs"))
    form = [juicefs, "format", "--storage", "file", "--bucket", f"{folder}/objects/", "--trash-days", "0"]
    subprocess.run([*form, database, "bench"], check=True, capture_output=True)
    port = _free_port()
    places = ["--log", f"{folder}/gateway.log", "--cache-dir", f"{folder}/cache"]
    process = subprocess.Popen(
        [juicefs, "gateway", database, f"127.0.0.1:{port}", *FLAGS, *places],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "MINIO_ROOT_USER": ACCESS_KEY, "MINIO_ROOT_PASSWORD": SECRET_KEY},
    )
    try:
        endpoint = f"http://127.0.0.1:{port}"
        _wait_for(endpoint, process)
        _client(endpoint).create_bucket(Bucket=BUCKET)
        yield Gateway(endpoint, psutil.Process(process.pid))
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _client(endpoint: str):  # type: ignore[no-untyped-def]  # the stubs are a development dependency
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        config=Config(max_pool_connections=16, request_checksum_calculation="when_required"),
    )


def _wait_for(endpoint: str, process: "subprocess.Popen[bytes]", seconds: float = 30) -> None:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError):
            with suppress(urllib.error.HTTPError):  # a refusal is an answer too
                direct.open(endpoint, timeout=5).close()
            return
        time.sleep(0.05)
    raise RuntimeError(f"The S3 server did not start (exit status {process.poll()}).")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
