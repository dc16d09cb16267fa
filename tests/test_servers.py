"""The test servers keep the promises that other tests build on."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, HTTPClientError, ResponseStreamingError

from scorer.objectstore import ObjectStore, join
from tests.conftest import Bucket, FaultyBucket
from tests.s3_proxy import Fault
from tests.servers import gateway

BODY = os.urandom(100_000)


def status_of(error: ClientError) -> int:
    return int(error.response["ResponseMetadata"]["HTTPStatusCode"])


@pytest.mark.parametrize("attempt", range(5))
def test_of_two_racing_conditional_writers_exactly_one_wins(any_bucket: Bucket, attempt: int) -> None:
    def write(writer: int) -> int:
        try:
            any_bucket.server.client().put_object(
                Bucket=any_bucket.name, Key="manifest.json", Body=b"%d" % writer, IfNoneMatch="*"
            )
        except ClientError as error:
            return status_of(error)
        return 200

    with ThreadPoolExecutor(8) as threads:
        statuses = list(threads.map(write, range(8)))

    assert sorted(statuses) == [200, *[412] * 7]
    kept = any_bucket.server.client().get_object(Bucket=any_bucket.name, Key="manifest.json")["Body"].read()
    assert kept == b"%d" % statuses.index(200)


def test_a_write_over_a_known_version_wins_only_while_that_version_stands(any_bucket: Bucket) -> None:
    client = any_bucket.server.client()
    first = client.put_object(Bucket=any_bucket.name, Key="a/b", Body=b"1")["ETag"]
    client.put_object(Bucket=any_bucket.name, Key="a/b", Body=b"2", IfMatch=first)

    with pytest.raises(ClientError) as stale:
        client.put_object(Bucket=any_bucket.name, Key="a/b", Body=b"3", IfMatch=first)

    assert status_of(stale.value) == 412
    assert client.get_object(Bucket=any_bucket.name, Key="a/b")["Body"].read() == b"2"


@pytest.mark.parametrize("key", ["plain.jpg", "with space.jpg", "ümläut/ñ.jpg", "a%20b+c.jpg", "a#b?c&d=e.jpg"])
def test_any_key_comes_back_as_it_was_written(any_bucket: Bucket, key: str) -> None:
    client = any_bucket.server.client()
    client.put_object(Bucket=any_bucket.name, Key=key, Body=BODY)

    assert client.get_object(Bucket=any_bucket.name, Key=key)["Body"].read() == BODY
    assert client.head_object(Bucket=any_bucket.name, Key=key)["ContentLength"] == len(BODY)
    assert client.get_object(Bucket=any_bucket.name, Key=key, Range="bytes=10-19")["Body"].read() == BODY[10:20]
    assert [entry["Key"] for entry in client.list_objects_v2(Bucket=any_bucket.name)["Contents"]] == [key]


def test_many_objects_are_deleted_in_one_request(any_bucket: Bucket) -> None:
    client = any_bucket.server.client()
    for name in "abc":
        client.put_object(Bucket=any_bucket.name, Key=name, Body=b"x")

    client.delete_objects(Bucket=any_bucket.name, Delete={"Objects": [{"Key": "a"}, {"Key": "c"}]})

    assert [entry["Key"] for entry in client.list_objects_v2(Bucket=any_bucket.name)["Contents"]] == ["b"]


def test_the_environment_leads_both_clients_of_the_object_store_to_the_bucket(any_bucket: Bucket) -> None:
    store = ObjectStore()
    uri = join(any_bucket.uri, "folder", "picture.jpg")
    store.put(uri, BODY)

    assert store.get(uri).data == BODY
    assert [info.uri for info in store.list_all(any_bucket.uri)] == [uri]


def test_a_process_that_a_test_starts_finds_the_bucket_too(any_bucket: Bucket) -> None:
    any_bucket.server.client().put_object(Bucket=any_bucket.name, Key="k", Body=b"from the parent")
    program = f"import boto3; print(boto3.client('s3').get_object(Bucket={any_bucket.name!r}, Key='k')['Body'].read())"

    output = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout

    assert output.strip() == repr(b"from the parent")


def test_the_gateway_refuses_a_wrong_secret(strict_bucket: FaultyBucket) -> None:
    with pytest.raises(ClientError) as refused:
        strict_bucket.server.client(secret_key="another-secret").list_objects_v2(Bucket=strict_bucket.name)

    assert refused.value.response["Error"]["Code"] == "SignatureDoesNotMatch"


@pytest.mark.parametrize(("kind", "status"), [("slow_down", 503), ("internal_error", 500)])
def test_an_injected_error_befalls_the_named_key_only_and_ends_with_the_healing(
    strict_bucket: FaultyBucket, kind: str, status: int
) -> None:
    server, client = strict_bucket.server, strict_bucket.server.client()
    for key in ("good", "bad"):
        client.put_object(Bucket=strict_bucket.name, Key=key, Body=BODY)
    server.inject(Fault(kind, key="/bad"))

    with pytest.raises(ClientError) as failure:
        client.get_object(Bucket=strict_bucket.name, Key="bad")
    assert status_of(failure.value) == status
    assert client.get_object(Bucket=strict_bucket.name, Key="good")["Body"].read() == BODY
    assert server.injected() == [1]
    assert server.requests("GET") == [f"/{strict_bucket.name}/bad", f"/{strict_bucket.name}/good"]

    server.heal()
    assert client.get_object(Bucket=strict_bucket.name, Key="bad")["Body"].read() == BODY


def test_a_truncated_body_is_seen_by_a_raw_client_and_whole_after_the_healing(strict_bucket: FaultyBucket) -> None:
    client = strict_bucket.server.client()
    client.put_object(Bucket=strict_bucket.name, Key="k", Body=BODY)
    strict_bucket.server.inject(Fault("truncate"))

    torn = client.get_object(Bucket=strict_bucket.name, Key="k")
    assert torn["ContentLength"] == len(BODY)
    with pytest.raises(ResponseStreamingError):
        torn["Body"].read()

    strict_bucket.server.heal()
    assert client.get_object(Bucket=strict_bucket.name, Key="k")["Body"].read() == BODY


def test_a_reset_connection_gives_no_answer_at_all(strict_bucket: FaultyBucket) -> None:
    client = strict_bucket.server.client()
    client.put_object(Bucket=strict_bucket.name, Key="k", Body=BODY)
    strict_bucket.server.inject(Fault("reset", times=1))

    with pytest.raises((ConnectionClosedError, HTTPClientError)):
        client.get_object(Bucket=strict_bucket.name, Key="k")
    assert client.get_object(Bucket=strict_bucket.name, Key="k")["Body"].read() == BODY


def test_a_late_answer_is_late_and_whole_and_a_stalled_one_breaks_off_late(strict_bucket: FaultyBucket) -> None:
    client = strict_bucket.server.client()
    client.put_object(Bucket=strict_bucket.name, Key="k", Body=BODY)

    strict_bucket.server.inject(Fault("latency", seconds=0.3))
    start = time.monotonic()
    assert client.get_object(Bucket=strict_bucket.name, Key="k")["Body"].read() == BODY
    assert time.monotonic() - start >= 0.3

    strict_bucket.server.inject(Fault("stall", seconds=0.3))
    start = time.monotonic()
    with pytest.raises(ResponseStreamingError):
        client.get_object(Bucket=strict_bucket.name, Key="k")["Body"].read()
    assert time.monotonic() - start >= 0.3


def test_a_share_of_the_requests_fails_and_the_same_ones_each_time(strict_bucket: FaultyBucket) -> None:
    client = strict_bucket.server.client()
    client.put_object(Bucket=strict_bucket.name, Key="k", Body=b"x")

    def answers(_: int) -> bool:
        try:
            client.head_object(Bucket=strict_bucket.name, Key="k")
        except ClientError:
            return False
        return True

    def outcomes() -> list[bool]:
        strict_bucket.server.inject(Fault("slow_down", method="HEAD", share=0.3))
        return [answers(attempt) for attempt in range(60)]

    first = outcomes()
    assert 5 <= first.count(False) <= 35
    assert outcomes() == first


def test_a_fault_on_writing_leaves_nothing_behind(strict_bucket: FaultyBucket) -> None:
    client = strict_bucket.server.client()
    strict_bucket.server.inject(Fault("slow_down", method="PUT"))

    with pytest.raises(ClientError, match="SlowDown"):
        client.put_object(Bucket=strict_bucket.name, Key="k", Body=b"x")

    assert client.list_objects_v2(Bucket=strict_bucket.name)["KeyCount"] == 0


def test_no_process_outlives_its_server(tmp_path: Path) -> None:
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    with gateway(tmp_path) as server:
        started = [c for c in psutil.Process().children(recursive=True) if c.pid not in before]
        assert server.injected() == []
    assert len(started) == 2
    assert [process for process in started if process.is_running()] == []
