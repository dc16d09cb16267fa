"""The one door keeps the same promises for local files and for both S3 servers."""

import contextlib
import errno
import io
import os
import pickle
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scorer.errors import (
    CredentialsRefused,
    Forbidden,
    InputChanged,
    NotFound,
    PreconditionFailed,
    ScorerError,
    SettingsError,
    StoreUnreachable,
    Throttled,
    TooLarge,
)
from scorer.objectstore import ObjectStore, canonical, file_name, join, parse
from scorer.objectstore.retry import Patience
from tests.conftest import Bucket, FaultyBucket
from tests.s3_proxy import Fault


@pytest.fixture(params=["local", "bucket", "strict_bucket"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The same test on local files and on either S3 server."""
    if request.param == "local":
        return str(tmp_path)
    found: Bucket = request.getfixturevalue(request.param)
    return found.uri


@pytest.fixture
def store() -> ObjectStore:
    return ObjectStore()


def test_what_was_put_is_what_is_got(root: str, store: ObjectStore) -> None:
    uri = join(root, "a", "b.bin")
    etag = store.put(uri, b"\0one")
    blob = store.get(uri)
    assert (blob.data, blob.etag) == (b"\0one", etag)
    assert store.head(uri).size == 4
    assert store.head(uri).etag == etag


@pytest.mark.parametrize(
    "name", ["with space.jpg", "a%20b.jpg", "a#b?c.jpg", "ü-ñ-家.jpg", "a+b&c=d.jpg", "~x'(1).jpg"]
)
def test_odd_names_are_spelled_the_same_by_every_client(root: str, store: ObjectStore, name: str) -> None:
    uri = join(root, name)
    store.put(uri, name.encode())
    assert store.get(uri).data == name.encode()
    assert [info.uri for info in store.list_all(root)] == [uri]


@pytest.mark.parametrize("key", ["x//y.jpg", "./z.jpg"])
def test_keys_that_the_rust_client_refuses_are_read_all_the_same(bucket: Bucket, store: ObjectStore, key: str) -> None:
    bucket.server.client().put_object(Bucket=bucket.name, Key=key, Body=b"odd")
    assert store.get(f"{bucket.uri}/{key}").data == b"odd"


def test_what_is_not_there_is_not_found(root: str, store: ObjectStore) -> None:
    uri = join(root, "none.bin")
    for call in (store.get, store.head, store.open):
        with pytest.raises(NotFound, match=r"none\.bin"):
            call(uri)
    assert not store.exists(uri)
    assert store.list_all(join(root, "nowhere")) == []
    store.delete([uri])


def test_listing_is_sorted_deep_and_of_this_folder_alone(root: str, store: ObjectStore) -> None:
    for name in ("p/b", "p/a/c", "p/a/b", "pp/other"):
        store.put(join(root, name), b"x")
    assert [info.uri.removeprefix(root) for info in store.list_all(join(root, "p"))] == ["/p/a/b", "/p/a/c", "/p/b"]


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.EACCES, Forbidden), (errno.EIO, StoreUnreachable), (errno.ESTALE, StoreUnreachable)]
)
def test_a_folder_that_cannot_be_listed_is_not_an_empty_one(
    tmp_path: Path, store: ObjectStore, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[Exception]
) -> None:
    for name in ("p/a", "p/deep/b"):
        store.put(str(tmp_path / name), b"x")
    scandir = os.scandir

    def failing(path: str) -> Any:
        if path.endswith("deep"):
            raise OSError(number, os.strerror(number), path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", failing)
    with pytest.raises(kind, match="deep"):
        store.list_all(str(tmp_path / "p"))


def test_a_listing_goes_behind_links_and_not_in_circles(tmp_path: Path, store: ObjectStore) -> None:
    for name in ("elsewhere/b", "p/a"):
        store.put(str(tmp_path / name), b"x")
    (tmp_path / "p" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "p" / "round").symlink_to(tmp_path)
    (tmp_path / "elsewhere" / "itself").symlink_to(tmp_path / "elsewhere")
    listed = [info.uri.removeprefix(f"{tmp_path}/p/") for info in store.list_all(str(tmp_path / "p"))]
    assert listed == ["a", "linked/b"]


def test_a_body_over_the_limit_is_refused(root: str, store: ObjectStore) -> None:
    uri = join(root, "big")
    store.put(uri, b"x" * 100)
    assert len(store.get(uri, max_bytes=100).data) == 100
    with pytest.raises(TooLarge, match="100 bytes, more than the limit of 99"):
        store.get(uri, max_bytes=99)


def test_a_conditional_put_holds_to_its_condition(root: str, store: ObjectStore) -> None:
    uri = join(root, "record.json")
    first = store.put(uri, b"1", if_none_match=True)
    with pytest.raises(PreconditionFailed):
        store.put(uri, b"2", if_none_match=True)
    second = store.put(uri, b"22", if_match=first)
    with pytest.raises(PreconditionFailed):
        store.put(uri, b"333", if_match=first)
    assert store.get(uri).data == b"22"
    assert store.get(uri, if_match=second).data == b"22"
    with pytest.raises(PreconditionFailed):
        store.get(uri, if_match=first)


def test_of_many_racing_conditional_puts_one_wins(root: str, store: ObjectStore) -> None:
    uri, start = join(root, "race.json"), threading.Barrier(6)
    etag = store.put(uri, b"0")

    def put(number: int) -> bool:
        start.wait()
        try:
            store.put(uri, f"by {number}".encode(), if_match=etag)
        except PreconditionFailed:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        won = list(pool.map(put, range(6)))
    assert sum(won) == 1
    assert store.get(uri).data == f"by {won.index(True)}".encode()


def test_a_file_is_moved_and_copied_whole(root: str, store: ObjectStore, tmp_path: Path) -> None:
    source = tmp_path / "source.bin"
    source.write_bytes(b"z" * 10_000)
    target, again = join(root, "deep", "t.bin"), join(root, "copy", "t.bin")
    assert store.put_file(target, source).size == 10_000
    assert not source.exists()
    assert store.copy(target, again).size == 10_000
    assert store.get(again).data == store.get(target).data


def test_a_reader_seeks_and_insists_on_its_version(root: str, store: ObjectStore) -> None:
    uri = join(root, "data.bin")
    store.put(uri, bytes(range(256)) * 4)
    etag = store.head(uri).etag
    with store.open(uri, etag) as handle:
        handle.seek(-6, io.SEEK_END)
        assert handle.read() == bytes(range(250, 256))
        handle.seek(10)
        assert handle.read(3) == bytes([10, 11, 12])
    store.put(uri, b"another version")
    with pytest.raises(InputChanged, match="changed after the run was planned"):
        store.open(uri, etag)


def test_an_object_replaced_under_a_reader_is_noticed(bucket: Bucket, store: ObjectStore) -> None:
    uri = f"{bucket.uri}/data.bin"
    store.put(uri, b"a" * 1_000_000)
    handle = store.open(uri)
    handle.read(10)
    store.put(uri, b"b" * 1_000_000)
    handle.seek(900_000)
    with pytest.raises(InputChanged):
        handle.read(10)


def test_wrong_credentials_speak_of_us_and_not_of_the_object(
    strict_bucket: FaultyBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"{strict_bucket.uri}/x"
    ObjectStore().put(uri, b"x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret-key")
    store = ObjectStore()
    calls: list[Callable[[str], object]] = [store.get, store.list_all]
    for call in calls:
        with pytest.raises(CredentialsRefused, match="credentials") as raised:
            call(uri)
        assert "wrong-secret-key" not in str(raised.value)
        assert raised.value.exit_code == 75


LONG_KEY = "ü" * 500  # 1,000 bytes; six times as many characters once it stands in a URL


@pytest.mark.parametrize(
    "key", ["ExpiredToken.jpg", "<Code>ExpiredToken</Code>.jpg", "status code: 400 <Code>InvalidToken</Code>", LONG_KEY]
)
@pytest.mark.parametrize(
    ("kind", "error"),
    [("access_denied", Forbidden), ("expired", CredentialsRefused), ("slow_down", Throttled)],
)
def test_what_a_refusal_says_is_read_from_the_answer_and_not_from_the_name(
    strict_bucket: FaultyBucket, key: str, kind: str, error: type[Exception]
) -> None:
    strict_bucket.server.inject(Fault(kind=kind))
    with pytest.raises(ScorerError) as raised:
        ObjectStore(patience=Patience(attempts=1)).get(f"{strict_bucket.uri}/p/{key}")
    assert type(raised.value) is error
    assert kind != "slow_down" or "Please reduce your request rate" in str(raised.value)


def test_a_key_that_no_object_can_have_is_not_asked_for(strict_bucket: FaultyBucket, store: ObjectStore) -> None:
    longest, longer = f"{strict_bucket.uri}/{'ü' * 512}", f"{strict_bucket.uri}/x{'ü' * 512}"
    strict_bucket.server.inject(Fault(kind="access_denied"))
    with pytest.raises(Forbidden):
        store.get(longest)
    with pytest.raises(NotFound, match="longer than 1,024 bytes"):
        store.get(longer)
    assert strict_bucket.server.injected() == [1]
    strict_bucket.server.inject(Fault(kind="internal_error", method="HEAD"))
    assert store.etags([longer]) == [None]
    assert strict_bucket.server.injected() == [0]


def test_a_name_that_no_file_can_have_is_not_found(tmp_path: Path, store: ObjectStore) -> None:
    (tmp_path / "round").symlink_to(tmp_path / "round")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        for name in ("x" * 300, "x/" * 3000, "round"):
            for call in (store.get, store.head, store.open):
                with pytest.raises(NotFound, match="there can be no such file"):
                    call(str(tmp_path / name))
        with pytest.raises(NotFound, match="there can be no such file"):
            store.get(str(tmp_path / "socket"))


def test_bodies_that_break_off_are_asked_for_again(strict_bucket: FaultyBucket, store: ObjectStore) -> None:
    uri = f"{strict_bucket.uri}/photo.jpg"
    store.put(uri, b"p" * 50_000)
    strict_bucket.server.inject(Fault(kind="truncate", key="photo", times=2))
    assert store.get(uri).data == b"p" * 50_000
    assert strict_bucket.server.injected() == [2]


def test_throttling_is_waited_out_and_a_dead_store_is_named(strict_bucket: FaultyBucket, store: ObjectStore) -> None:
    uri = f"{strict_bucket.uri}/photo.jpg"
    store.put(uri, b"p")
    strict_bucket.server.inject(Fault(kind="slow_down", key="photo", times=3))
    assert store.get(uri).data == b"p"
    dead = ObjectStore(patience=Patience(attempts=2, first_wait_s=0.01))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        with pytest.raises(StoreUnreachable, match=r"photo\.jpg"):
            dead.head(uri)


def test_the_store_crosses_processes(tmp_path: Path) -> None:
    uri = join(str(tmp_path), "x")
    pickle.loads(pickle.dumps(ObjectStore(7))).put(uri, b"1")  # noqa: S301 (our own bytes)
    assert ObjectStore().get(uri).data == b"1"


def test_a_pipe_among_the_files_does_not_hang(tmp_path: Path, store: ObjectStore) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(NotFound, match="not a regular file"):
        store.get(str(tmp_path / "pipe.jpg"))


def test_a_killed_writer_leaves_nothing_that_a_listing_shows(tmp_path: Path, store: ObjectStore) -> None:
    (tmp_path / ".part-00000.parquet.0123.tmp").write_bytes(b"half")
    assert store.list_all(str(tmp_path)) == []


def test_a_file_that_may_not_be_read_is_forbidden(tmp_path: Path, store: ObjectStore) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    (tmp_path / "x").write_bytes(b"x")
    (tmp_path / "x").chmod(0)
    with pytest.raises(Forbidden, match="access denied"):
        store.get(str(tmp_path / "x"))


@pytest.mark.parametrize("uri", ["http://x/y", "s3://", "s3:///key", "file://host/x", "gs://b/k", "://"])
def test_other_schemes_are_refused_with_the_known_ones(uri: str) -> None:
    with pytest.raises(SettingsError):
        parse(uri)


def test_uris_have_one_form() -> None:
    assert canonical("file:///a/b/") == canonical("/a/b") == "/a/b"
    assert canonical("file:///a%20b") == "/a b"
    assert canonical("s3://b/k/") == "s3://b/k"
    assert file_name("s3://b/k/name.parquet") == "name.parquet"


@given(st.text(max_size=60))
@settings(max_examples=300, deadline=None)
def test_any_text_is_a_place_or_a_settings_error(text: str) -> None:
    with contextlib.suppress(SettingsError):  # anything else that is raised breaks the rule
        assert parse(text).uri
