"""The ETags of many objects of a bucket, for as few requests as may be.

One LIST tells of up to 1,000 keys and costs about as much as a dozen HEADs ($0.005 against $0.0004 a thousand, S3
Standard). So listings are walked along the wanted keys: each page begins at the next key that is wanted, and where a
page told of fewer than a dozen of them, the next few are asked for by a HEAD each before a page is tried again.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby, takewhile
from typing import TYPE_CHECKING

from scorer.errors import CredentialsRefused, Forbidden, NotFound, StoreUnreachable, Terminal
from scorer.objectstore.places import Place, parse

if TYPE_CHECKING:
    from scorer.objectstore.s3 import S3

PAGE = 1000
"""Keys of a page of S3's listings, at most."""

WORTH_A_PAGE = 13
"""Wanted keys that a page must tell of; fewer are cheaper by HEADs."""

HEADS_FIRST, HEADS_MOST = 64, 4096
"""HEADs after a page that was not worth its price; doubled from page to page."""

WALKERS = 8
"""Listings that are walked at a time, each along a stretch of the wanted keys; a page takes some 100 ms."""

STRETCH = 2000
"""Wanted keys for which a walker more is worth its while."""

HEADERS = 32
"""HEADs in flight."""

Found = dict[str, str | None]
"""URI -> ETag."""


def find(s3: "S3", uris: Sequence[str]) -> Found:
    """Every URI with its ETag, None for what is not there. Raises StoreUnreachable."""
    asked = (place for place in map(parse, uris) if not place.too_long)
    places = sorted(asked, key=lambda place: (place.bucket or "", place.key))
    found: Found = dict.fromkeys(uris)
    with ThreadPoolExecutor(WALKERS) as walkers, ThreadPoolExecutor(HEADERS) as headers:
        stretches = [
            stretch
            for bucket, group in groupby(places, key=lambda place: place.bucket)
            for stretch in _stretches(bucket or "", [place.key for place in group])
        ]
        for some in walkers.map(lambda stretch: _walk(s3, stretch[0], stretch[1], headers), stretches):
            found.update(some)
    return found


def _stretches(bucket: str, keys: list[str]) -> Iterator[tuple[str, list[str]]]:
    number = min(WALKERS, -(-len(keys) // STRETCH))
    size = -(-len(keys) // number)
    for start in range(0, len(keys), size):
        yield bucket, keys[start : start + size]


def _walk(s3: "S3", bucket: str, keys: list[str], headers: ThreadPoolExecutor) -> Found:
    """The ETags of sorted keys."""
    found: Found = {}
    folder = _folder(keys[0], keys[-1])
    at, heads = 0, HEADS_FIRST
    while at < len(keys):
        told: dict[str, str] = {}
        upto = at
        if len(keys) - at >= WORTH_A_PAGE:
            try:
                told, last = _page(s3, bucket, folder, keys[at])
                upto = len(keys) if last is None else bisect_right(keys, last, lo=at)
            except (Forbidden, NotFound):  # no right to list: HEADs may still be allowed
                heads = HEADS_MOST
        for key in keys[at:upto]:
            found[Place(bucket, key).uri] = told.get(key)
        if upto - at >= WORTH_A_PAGE:
            at, heads = upto, HEADS_FIRST
            continue
        some = keys[upto : upto + heads]
        places = [Place(bucket, key) for key in some]
        found.update(
            zip((place.uri for place in places), headers.map(lambda place: _head(s3, place), places), strict=True)
        )
        at, heads = upto + len(some), min(2 * heads, HEADS_MOST)
    return found


def _folder(first: str, last: str) -> str:
    """The last folder that both are in."""
    steps = zip(first.split("/")[:-1], last.split("/")[:-1], strict=False)
    return "/".join(step for step, _ in takewhile(lambda pair: pair[0] == pair[1], steps))


def _page(s3: "S3", bucket: str, folder: str, first: str) -> tuple[dict[str, str], str | None]:
    """Key -> ETag from `first` on, and the last key of the page, None if it was the listing's last page."""
    try:
        return s3.politely(lambda: _page_by_obstore(s3, bucket, folder, first))
    except (StoreUnreachable, Forbidden, NotFound):
        raise
    except Terminal:  # among a thousand keys one that obstore cannot spell (`a//b`)
        return s3.politely(lambda: _page_by_boto(s3, bucket, folder, first))


def _page_by_obstore(s3: "S3", bucket: str, folder: str, first: str) -> tuple[dict[str, str], str | None]:
    import obstore
    from obstore.exceptions import BaseError

    from scorer.objectstore.s3 import from_obstore

    try:
        pages = obstore.list(s3.rust(bucket), folder or None, offset=first[:-1] or None, chunk_size=PAGE)
        page = next(iter(pages), [])
    except (BaseError, OSError, ValueError) as error:
        if "invalid path" in str(error):
            raise Terminal(f"{Place(bucket, folder).uri} holds a key that this client cannot spell.") from None
        raise from_obstore(Place(bucket, folder).uri, error) from None
    told = {item["path"]: item["e_tag"] or "" for item in page}
    return told, page[-1]["path"] if len(page) == PAGE else None


def _page_by_boto(s3: "S3", bucket: str, folder: str, first: str) -> tuple[dict[str, str], str | None]:
    from scorer.objectstore.s3 import boto_errors

    with boto_errors(Place(bucket, folder).uri):
        prefix = f"{folder}/" if folder else ""
        page = s3.boto.list_objects_v2(Bucket=bucket, Prefix=prefix, StartAfter=first[:-1], MaxKeys=PAGE)
    told = {item["Key"]: item["ETag"] for item in page.get("Contents", ())}
    return told, max(told) if told and page.get("IsTruncated") else None


def _head(s3: "S3", place: Place) -> str | None:
    """By obstore where it can spell the key. What may not be seen counts as absent: its GET will say what is wrong."""
    import obstore
    from obstore.exceptions import BaseError

    from scorer.objectstore.s3 import ODD_KEY, boto_errors, from_obstore

    def by_obstore() -> str | None:
        try:
            return obstore.head(s3.rust(place.bucket or ""), place.key)["e_tag"]
        except (BaseError, OSError) as error:
            raise from_obstore(place.uri, error) from None

    def by_boto() -> str | None:
        with boto_errors(place.uri):
            return str(s3.boto.head_object(Bucket=place.bucket, Key=place.key)["ETag"])

    try:
        return s3.politely(by_boto if ODD_KEY.search(place.key) else by_obstore)
    except (CredentialsRefused, StoreUnreachable):
        raise
    except Terminal:
        return None
