"""Where images may come from, and what becomes of those that do not arrive."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scorer import contracts
from scorer.errors import CredentialsRefused, ImageFault, StoreUnreachable
from scorer.intake import fetch
from scorer.intake.fetch import HOLD_BYTES, Fetcher, ImagePlaces
from scorer.objectstore import Blob, ObjectStore, join, parse
from scorer.objectstore.retry import Patience
from scorer.settings import ImageLimits, ImageSources
from scorer.telemetry import Stages
from tests.conftest import Bucket, FaultyBucket
from tests.s3_proxy import Fault

REMOTE = ImagePlaces.of("s3://listings/homes", ImageSources(buckets=("photos",)))
LOCAL = ImagePlaces.of("/data/listings", ImageSources())
FENCED = ImagePlaces.of("/data/listings", ImageSources(folders=("/data/images",)))


@pytest.mark.parametrize(
    ("places", "text", "uri"),
    [
        (REMOTE, "img/1.jpg", "s3://listings/homes/img/1.jpg"),
        (REMOTE, "s3://photos/1.jpg", "s3://photos/1.jpg"),
        (REMOTE, "s3://listings/elsewhere/1.jpg", "s3://listings/elsewhere/1.jpg"),
        (LOCAL, "img/1 2.jpg", "/data/listings/img/1 2.jpg"),
        (LOCAL, "/anywhere/1.jpg", "/anywhere/1.jpg"),
        (LOCAL, "file:///anywhere/a%20b.jpg", "/anywhere/a b.jpg"),
        (FENCED, "/data/images/1.jpg", "/data/images/1.jpg"),
        (FENCED, "img/1.jpg", "/data/listings/img/1.jpg"),
    ],
)
def test_a_uri_resolves_to_its_place(places: ImagePlaces, text: str, uri: str) -> None:
    assert places.resolve(text) == uri


@pytest.mark.parametrize(
    ("places", "text"),
    [
        (REMOTE, "s3://others/1.jpg"),
        (REMOTE, "/etc/passwd"),
        (REMOTE, "file:///etc/passwd"),
        (REMOTE, "../other/1.jpg"),
        (REMOTE, "a/../../1.jpg"),
        (REMOTE, "s3://photos/../listings/1.jpg"),
        (REMOTE, "http://169.254.169.254/latest/meta-data"),
        (REMOTE, "https://x/1.jpg"),
        (REMOTE, "data:image/png;base64,AAAA://"),
        (REMOTE, "s3:///1.jpg"),
        (REMOTE, "a\0b.jpg"),
        (REMOTE, "a\nb.jpg"),
        (REMOTE, "x" * 3000),
        (LOCAL, "s3://photos/1.jpg"),
        (LOCAL, "file://host/1.jpg"),
        (LOCAL, "../1.jpg"),
        (FENCED, "/etc/passwd"),
        (FENCED, "/data/images-of-others/1.jpg"),
        (FENCED, "file:///data/images/%2e%2e/secret.jpg"),
        (FENCED, "/data/images/../secret.jpg"),
    ],
)
def test_what_leads_elsewhere_is_forbidden(places: ImagePlaces, text: str) -> None:
    with pytest.raises(ImageFault) as raised:
        places.resolve(text)
    assert raised.value.reason == "image_forbidden"
    assert len(raised.value.detail) < 400


@given(st.text(max_size=80) | st.from_regex(r"(s3|file)://[a-z./%]{0,30}"))
@settings(max_examples=400, deadline=None)
def test_no_text_leads_out_of_the_fence(text: str) -> None:
    for places in (REMOTE, FENCED):
        try:
            place = parse(places.resolve(text))
        except ImageFault:
            continue
        if place.bucket is None:
            assert place.key.startswith(("/data/listings/", "/data/images/"))
        else:
            assert place.bucket in ("listings", "photos")


def test_each_failure_has_its_reason(bucket: Bucket) -> None:
    store = ObjectStore()
    store.put(join(bucket.uri, "big.jpg"), b"x" * 1000)
    with Fetcher(store, ImageLimits(max_bytes=999), 4) as fetcher:
        for name, reason in (("big.jpg", "image_too_large"), ("none.jpg", "image_not_found")):
            with pytest.raises(ImageFault) as raised:
                fetcher.get(join(bucket.uri, name))
            assert raised.value.reason == reason
            assert reason in contracts.reasons()


def test_names_that_nothing_can_have_do_not_count_as_a_store_that_is_down(bucket: Bucket, tmp_path: Path) -> None:
    with Fetcher(ObjectStore(patience=Patience(attempts=1)), ImageLimits(), 1) as fetcher:
        for place in [join(str(tmp_path), "x" * 300), join(bucket.uri, "x" * 1025)] * fetch.UNREACHABLE_IN_A_ROW:
            with pytest.raises(ImageFault) as raised:
                fetcher.get(place)
            assert (raised.value.reason, raised.value.transient) == ("image_not_found", False)


def size_of(blob: Blob) -> int:
    return len(blob.data)


def test_remote_images_are_under_way_at_once_and_large_ones_are_taken_in_at_once(bucket: Bucket) -> None:
    store = ObjectStore()
    store.put(join(bucket.uri, "small.jpg"), b"s")
    store.put(join(bucket.uri, "large.jpg"), b"l" * (HOLD_BYTES + 1))
    with Fetcher(store, ImageLimits(), 4) as fetcher:
        small = fetcher.start(join(bucket.uri, "small.jpg"), size_of, Stages())
        large = fetcher.start(join(bucket.uri, "large.jpg"), size_of, Stages())
        assert small is not None
        assert large is not None
        assert small.result() == store.get(join(bucket.uri, "small.jpg"))
        assert large.result() == HOLD_BYTES + 1


def test_a_local_image_is_left_to_whoever_decodes_it(tmp_path: Path) -> None:
    with Fetcher(ObjectStore(), ImageLimits(), 1) as fetcher:
        assert fetcher.start(str(tmp_path / "x.jpg"), size_of, Stages()) is None


def test_an_image_that_the_store_never_delivers_is_unreachable_and_a_dead_store_ends_the_run(
    strict_bucket: FaultyBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "UNREACHABLE_IN_A_ROW", 2)
    store = ObjectStore(patience=Patience(attempts=3, first_wait_s=0.01))
    cursed, fine = join(strict_bucket.uri, "cursed.jpg"), join(strict_bucket.uri, "fine.jpg")
    store.put(cursed, b"x" * 100)
    store.put(fine, b"x")
    strict_bucket.server.inject(Fault(kind="truncate", key="cursed"))
    with Fetcher(store, ImageLimits(), 1) as fetcher:
        with pytest.raises(ImageFault, match="image_unreachable"):
            fetcher.get(cursed)
        assert fetcher.get(fine) == b"x"  # a success in between: the store is not down
        with pytest.raises(ImageFault, match="image_unreachable"):
            fetcher.get(cursed)
        with pytest.raises(StoreUnreachable, match=r"2 images in a row could not be fetched.*Start the run again"):
            fetcher.get(cursed)


def test_refused_credentials_degrade_no_row(strict_bucket: FaultyBucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with Fetcher(ObjectStore(), ImageLimits(), 1) as fetcher, pytest.raises(CredentialsRefused):
        fetcher.get(join(strict_bucket.uri, "x.jpg"))
