"""URIs and what is found at them."""

import os
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from urllib.parse import unquote

from scorer.errors import SettingsError

MAX_KEY = 1024
"""Bytes of UTF-8 in the longest key that an object in S3 can have (AWS documentation of object keys)."""


@dataclass(frozen=True)
class Place:
    """A parsed URI: an S3 bucket and key, or (bucket None) an absolute local path."""

    bucket: str | None
    key: str

    @property
    def uri(self) -> str:
        """The URI in its one canonical form."""
        return f"s3://{self.bucket}/{self.key}" if self.bucket else self.key

    @property
    def too_long(self) -> bool:
        """Whether it is a key that no object in S3 can have."""
        return self.bucket is not None and len(self.key.encode("utf-8", "surrogatepass")) > MAX_KEY


@dataclass(frozen=True)
class ObjectInfo:
    """What a listing or a HEAD says of one object. `size` in bytes, `modified` in UTC."""

    uri: str
    size: int
    etag: str
    modified: datetime


@dataclass(frozen=True)
class Blob:
    """The bytes of one object and the ETag they came with."""

    data: bytes
    etag: str


@lru_cache(maxsize=65536)
def parse(uri: str) -> Place:
    """An `s3://` or `file://` URI or a plain local path as a Place.

    Raises:
        SettingsError: another scheme, or no bucket.
    """
    scheme, separator, rest = uri.partition("://")
    if not separator:
        return Place(None, os.path.abspath(uri))
    if scheme == "s3":
        bucket, _, key = rest.partition("/")
        if not bucket:
            raise SettingsError(f"{uri!r} names no bucket. Expected s3://BUCKET/KEY.")
        return Place(bucket, key)
    if scheme == "file":
        host, _, path = rest.partition("/")
        if host not in ("", "localhost"):
            raise SettingsError(f"{uri!r} names a file on host {host!r}. Only local files: file:///PATH.")
        return Place(None, os.path.abspath("/" + unquote(path)))
    raise SettingsError(f"{uri!r} has the scheme {scheme!r}. Known: s3://, file://, or a local path.")


def canonical(uri: str) -> str:
    """The URI in its one canonical form, without a trailing slash."""
    return parse(uri).uri.rstrip("/") or "/"  # the root of all files


def join(uri: str, *parts: str) -> str:
    """The place below a folder or prefix."""
    return "/".join([uri.rstrip("/"), *parts])


def file_name(uri: str) -> str:
    """The last step of a URI."""
    return uri.rstrip("/").rpartition("/")[2]
