"""An image is known again by what lies under its URI, and by nothing that could be another image's."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorer.errors import ImageFault
from scorer.intake.fetch import ImagePlaces
from scorer.intake.identities import Identifier, Policy
from scorer.objectstore import ObjectStore, Place, join, s3_etags
from scorer.objectstore.s3 import S3
from scorer.settings import ImageSources
from tests.conftest import Bucket

PLACES = [
    ImagePlaces.of("s3://listings/homes", ImageSources(buckets=("photos",))),
    ImagePlaces.of("/data/listings", ImageSources()),
    ImagePlaces.of("/data/listings", ImageSources(folders=("/data/images",))),
]
STEPS = st.sampled_from(
    [
        "s3://photos/",
        "s3://listings/",
        "file://",
        "/",
        "//",
        ".",
        "..",
        "a",
        "b.jpg",
        "%2e",
        "data",
        "images",
        "é",
        "\n",
    ]
)


def identifier(root: str, policy: Policy = "etag") -> Identifier:
    return Identifier(ImagePlaces.of(root, ImageSources()), policy, ObjectStore())


@pytest.fixture(params=["local", "bucket"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "local":
        return str(tmp_path)
    found: Bucket = request.getfixturevalue("bucket")
    return found.uri


@given(st.sampled_from(PLACES), st.lists(STEPS, max_size=6).map("".join) | st.lists(STEPS, max_size=6).map("/".join))
def test_many_uris_are_resolved_as_each_alone(places: ImagePlaces, text: str) -> None:
    try:
        alone: str | None = places.resolve(text)
    except ImageFault:
        alone = None
    assert places.resolve_all([text]) == [alone]


def test_what_a_listing_tells_is_what_a_get_tells(root: str) -> None:
    store = ObjectStore()
    names = [f"img/{number}.jpg" for number in range(40)]
    for name in names[:30]:
        store.put(join(root, name), name.encode())
    tells = identifier(root)
    found = tells.listed(names)
    assert found.known.tolist() == [True] * 30 + [False] * 10
    for name, key in zip(names[:30], found.keys, strict=False):
        uri = join(root, name)
        assert tells.of(uri, store.get(uri)) == key.tobytes()
    assert len({key.tobytes() for key in found.keys[:30]}) == 30


def test_other_bytes_are_another_image_and_the_same_bytes_elsewhere_are_too(root: str) -> None:
    store = ObjectStore()
    for name in ("a.jpg", "b.jpg"):
        store.put(join(root, name), b"one")
    tells = identifier(root)
    before = tells.listed(["a.jpg", "b.jpg"]).keys
    store.put(join(root, "a.jpg"), b"two")
    after = tells.listed(["a.jpg", "b.jpg"]).keys
    assert [(one == other).all() for one, other in zip(before, after, strict=True)] == [False, True]
    assert (before[0] != before[1]).any()


def test_by_name_nothing_is_asked_and_by_content_nothing_is_known_before_it_is_here(tmp_path: Path) -> None:
    named = identifier(str(tmp_path), "uri").listed(["no.jpg", "no.jpg", "other.jpg", "../up.jpg"])
    assert named.known.tolist() == [True, True, True, False]
    assert (named.keys[0] == named.keys[1]).all()
    assert (named.keys[0] != named.keys[2]).any()
    tells = identifier(str(tmp_path), "content")
    assert not tells.listed(["a.jpg"]).known.any()
    store = ObjectStore()
    for name in ("a.jpg", "b.jpg"):
        store.put(join(str(tmp_path), name), b"one")
    blobs = [store.get(join(str(tmp_path), name)) for name in ("a.jpg", "b.jpg")]
    assert tells.of("a.jpg", blobs[0]) == tells.of("b.jpg", blobs[1])


def test_pipes_and_folders_and_broken_links_are_no_images(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "link.jpg").symlink_to(tmp_path / "nowhere")
    (tmp_path / "good.jpg").write_bytes(b"x")
    found = identifier(str(tmp_path)).listed(["pipe.jpg", "folder.jpg", "link.jpg", "good.jpg", "a\0b.jpg"])
    assert found.known.tolist() == [False, False, False, True, False]


def test_a_slow_file_system_is_asked_for_many_files_at_a_time_and_says_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ObjectStore()
    paths = [str(tmp_path / f"{number}.jpg") for number in range(30)]
    for path in paths[::2]:
        store.put(path, b"x")
    quick = store.etags(paths)
    monkeypatch.setattr("scorer.objectstore.local.TRIED_FIRST", 3)
    monkeypatch.setattr("scorer.objectstore.local.SLOW_S", 0.0)
    assert store.etags(paths) == quick
    assert [etag is None for etag in quick] == [False, True] * 15


def test_listings_are_walked_along_the_wanted_keys_and_sparse_ones_are_asked_one_by_one(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ObjectStore()
    keys = [f"img/{folder}/{number:03}.jpg" for folder in "ab" for number in range(60)]
    keys += ["img/b/odd//key.jpg", "img/b/with space é.jpg", "top.jpg"]
    etags = {join(bucket.uri, key): store.put(join(bucket.uri, key), key.encode()) for key in keys}
    dense = [*etags, join(bucket.uri, "img/a/0005.jpg"), join(bucket.uri, "zzz.jpg")]
    pages: list[str] = []
    heads: list[str] = []
    page, head = s3_etags._page, s3_etags._head

    def counted_page(s3: S3, bucket: str, folder: str, first: str) -> tuple[dict[str, str], str | None]:
        pages.append(first)
        return page(s3, bucket, folder, first)

    def counted_head(s3: S3, place: Place) -> str | None:
        heads.append(place.key)
        return head(s3, place)

    monkeypatch.setattr(s3_etags, "_page", counted_page)
    monkeypatch.setattr(s3_etags, "_head", counted_head)
    expected = [etags.get(uri) for uri in dense]
    assert store.etags(dense) == expected
    assert (len(pages), len(heads)) == (1, 0)

    monkeypatch.setattr(s3_etags, "PAGE", 40)
    assert store.etags(dense[::-1]) == expected[::-1]

    pages.clear()
    heads.clear()
    monkeypatch.setattr(s3_etags, "PAGE", 10)
    sparse = dense[::6]
    assert store.etags(sparse) == expected[::6]
    assert len(heads) > len(sparse) / 2
    assert len(pages) <= 2


def test_without_the_right_to_list_each_key_is_asked_for(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    from scorer.errors import Forbidden

    def refused(*_: object) -> object:
        raise Forbidden("no right to list")

    store = ObjectStore()
    uris = [join(bucket.uri, f"{number:02}.jpg") for number in range(40)]
    etags = [store.put(uri, b"x") for uri in uris]
    monkeypatch.setattr(s3_etags, "_page", refused)
    assert store.etags([*uris, join(bucket.uri, "none.jpg")]) == [*etags, None]
