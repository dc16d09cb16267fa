"""The one door to S3 and to local files.

Few large requests (listing, Parquet, state, publishing) go through boto3, which knows every credential source and every
S3 dialect. The many small ones (images) go through obstore, a Rust client with boto3's credentials, at about a tenth of
the CPU time a GET. A key that obstore cannot spell (`a//b`, `./a`) falls back to boto3.
"""

import contextlib
import fcntl
import io
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import unquote

from scorer.errors import (
    CredentialsRefused,
    Forbidden,
    InputChanged,
    NotFound,
    PreconditionFailed,
    SettingsError,
    StoreUnreachable,
    Terminal,
    TooLarge,
)

if TYPE_CHECKING:
    from obstore.store import S3Store

CREDENTIAL_CODES = (
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "InvalidToken",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
    "TokenRefreshRequired",
)
"""S3 error codes that speak of us, not of the object: they end the run instead of degrading a row."""

COPY_LIMIT = 5 * 1024**3
"""Largest object that S3 copies in one request (AWS documentation of CopyObject)."""

BODY_ATTEMPTS = 3
"""Tries for a body that breaks off half-way. Both clients retry status codes, neither retries a torn body."""


@dataclass(frozen=True)
class Place:
    """A parsed URI: an S3 bucket and key, or (bucket None) an absolute local path."""

    bucket: str | None
    key: str

    @property
    def uri(self) -> str:
        """The URI in its one canonical form."""
        return f"s3://{self.bucket}/{self.key}" if self.bucket else self.key


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
    return parse(uri).uri.rstrip("/")


def join(uri: str, *parts: str) -> str:
    """The place below a folder or prefix."""
    return "/".join([uri.rstrip("/"), *parts])


def file_name(uri: str) -> str:
    """The last step of a URI."""
    return uri.rstrip("/").rpartition("/")[2]


class ObjectStore:
    """Objects by URI, the same calls for S3 and local files. Thread-safe; picklable (clients are made anew)."""

    def __init__(self, concurrency: int = 32) -> None:
        """`concurrency` bounds the pooled connections, not the requests: callers bound those."""
        self.concurrency = concurrency
        self._stores: dict[str, S3Store] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return (ObjectStore, (self.concurrency,))

    # --- reading

    def get(self, uri: str, *, if_match: str | None = None, max_bytes: int | None = None) -> Blob:
        """The whole object.

        Raises:
            NotFound, Forbidden, TooLarge (more than `max_bytes`), PreconditionFailed (another ETag than `if_match`),
            StoreUnreachable.
        """
        place = parse(uri)
        if place.bucket is None:
            return _read_local(place.key, if_match, max_bytes)
        for attempt in range(BODY_ATTEMPTS):
            try:
                return self._get_s3(place.bucket, place.key, if_match, max_bytes)
            except _TornBody as torn:
                if attempt == BODY_ATTEMPTS - 1:
                    raise StoreUnreachable(f"{uri}: the body broke off {BODY_ATTEMPTS} times ({torn}).") from None
        raise AssertionError("unreachable")

    def head(self, uri: str) -> ObjectInfo:
        """Size, ETag and time of one object. Raises NotFound, Forbidden, StoreUnreachable."""
        place = parse(uri)
        if place.bucket is None:
            with _local_errors(uri):
                return _local_info(place.key, os.stat(place.key))
        with _boto_errors(uri):
            answer = self._boto.head_object(Bucket=place.bucket, Key=place.key)
        return ObjectInfo(place.uri, answer["ContentLength"], answer["ETag"], answer["LastModified"])

    def exists(self, uri: str) -> bool:
        """Whether there is such an object."""
        try:
            self.head(uri)
        except NotFound:
            return False
        return True

    def list(self, prefix: str) -> list[ObjectInfo]:
        """Every object below a folder or prefix, sorted by URI; hidden local files are left out. Empty if none."""
        place = parse(prefix.rstrip("/") + "/")
        if place.bucket is None:
            return sorted(_walk_local(place.key), key=lambda info: info.uri)
        found = []
        with _boto_errors(prefix):
            pages = self._boto.get_paginator("list_objects_v2").paginate(Bucket=place.bucket, Prefix=place.key)
            for page in pages:
                for item in page.get("Contents", ()):
                    if not item["Key"].endswith("/"):
                        uri = f"s3://{place.bucket}/{item['Key']}"
                        found.append(ObjectInfo(uri, item["Size"], item["ETag"], item["LastModified"]))
        return sorted(found, key=lambda info: info.uri)

    def folders(self, prefix: str) -> list[str]:
        """Names of the folders (common prefixes) right below `prefix`, sorted."""
        place = parse(prefix.rstrip("/") + "/")
        if place.bucket is None:
            if not os.path.isdir(place.key):
                return []
            with _local_errors(prefix), os.scandir(place.key) as entries:
                return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
        with _boto_errors(prefix):
            pages = self._boto.get_paginator("list_objects_v2").paginate(
                Bucket=place.bucket, Prefix=place.key, Delimiter="/"
            )
            return sorted(file_name(common["Prefix"]) for page in pages for common in page.get("CommonPrefixes", ()))

    def open(self, uri: str, etag: str | None = None) -> BinaryIO:
        """A seekable reader for pyarrow. With `etag`, every read insists on that version (InputChanged if it is gone)."""
        place = parse(uri)
        if place.bucket is None:
            with _local_errors(uri):
                handle = open(place.key, "rb")  # noqa: SIM115 (the caller closes it)
            found = _local_etag(os.fstat(handle.fileno()))
            if etag is not None and found != etag:
                handle.close()
                raise InputChanged(f"{uri} changed after the run was planned. Start the run again.")
            return handle
        info = self.head(uri)
        if etag is not None and info.etag != etag:
            raise InputChanged(f"{uri} changed after the run was planned. Start the run again.")
        return io.BufferedReader(_RangeReader(self, info), buffer_size=256 * 1024)  # type: ignore[return-value]  # a BinaryIO in all but name

    # --- writing

    def put(self, uri: str, data: bytes, *, if_none_match: bool = False, if_match: str | None = None) -> str:
        """Write one object in one step and return its ETag.

        Args:
            uri: where to.
            data: the whole content.
            if_none_match: only if nothing is there yet.
            if_match: only if what is there has this ETag.

        Raises:
            PreconditionFailed: the condition does not hold; nothing was written.
            Forbidden, StoreUnreachable.
        """
        place = parse(uri)
        if place.bucket is None:
            return _write_local(place.key, data, if_none_match, if_match)
        condition = {"IfNoneMatch": "*"} if if_none_match else {"IfMatch": if_match} if if_match else {}
        with _boto_errors(uri):
            answer = self._boto.put_object(Bucket=place.bucket, Key=place.key, Body=data, **condition)
        return str(answer["ETag"])

    def put_file(self, uri: str, path: Path) -> ObjectInfo:
        """Move a finished local file to its place (multipart on S3). The file itself is consumed."""
        place = parse(uri)
        if place.bucket is None:
            with _local_errors(uri):
                os.makedirs(os.path.dirname(place.key), exist_ok=True)
                staged = _temporary_name(place.key)
                shutil.move(path, staged)
                _flush_to_disk(staged)
                os.replace(staged, place.key)
                _flush_to_disk(os.path.dirname(place.key))
        else:
            with _boto_errors(uri):
                self._boto.upload_file(str(path), place.bucket, place.key)
            path.unlink()
        return self.head(uri)

    def copy(self, source: str, target: str) -> ObjectInfo:
        """Replace `target` by a copy of `source` in one atomic step; both in S3 or both local."""
        origin, place = parse(source), parse(target)
        if (origin.bucket is None) != (place.bucket is None):
            raise SettingsError(f"Cannot copy {source} to {target}: both must be in S3, or both local.")
        if place.bucket is None:
            with _local_errors(target):
                os.makedirs(os.path.dirname(place.key), exist_ok=True)
                staged = _temporary_name(place.key)
                shutil.copyfile(origin.key, staged)
                _flush_to_disk(staged)
                os.replace(staged, place.key)
                _flush_to_disk(os.path.dirname(place.key))
        else:
            with _boto_errors(target):
                where = {"Bucket": origin.bucket, "Key": origin.key}
                if self.head(source).size <= COPY_LIMIT:
                    self._boto.copy_object(CopySource=where, Bucket=place.bucket, Key=place.key)
                else:
                    self._boto.copy(where, place.bucket, place.key)
        return self.head(target)

    def delete(self, uris: Iterable[str]) -> None:
        """Remove objects; one that is gone already is fine."""
        for uri in uris:
            place = parse(uri)
            if place.bucket is None:
                with _local_errors(uri), contextlib.suppress(FileNotFoundError):
                    os.unlink(place.key)
            else:
                # One by one: DeleteObjects needs a checksum header that S3-compatible stores disagree about.
                with _boto_errors(uri):
                    self._boto.delete_object(Bucket=place.bucket, Key=place.key)

    # --- clients

    @cached_property
    def _session(self) -> Any:
        import boto3

        return boto3.Session()

    @cached_property
    def _boto(self) -> Any:
        from botocore.config import Config

        return self._session.client(
            "s3",
            config=Config(
                max_pool_connections=self.concurrency,
                connect_timeout=5,
                read_timeout=60,
                retries={"mode": "standard", "total_max_attempts": 6},
                # Stores other than AWS answer 4xx to the newer default checksums.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )

    def _rust(self, bucket: str) -> "S3Store":
        store = self._stores.get(bucket)
        if store is None:
            store = self._stores[bucket] = _rust_store(self._session, self._boto, bucket, self.concurrency)
        return store

    def _get_s3(self, bucket: str, key: str, if_match: str | None, max_bytes: int | None) -> Blob:
        import obstore
        from obstore.exceptions import BaseError

        if _ODD_KEY.search(key):
            return self._get_boto(bucket, key, if_match, max_bytes)
        uri = f"s3://{bucket}/{key}"
        try:
            answer = obstore.get(self._rust(bucket), key, options={"if_match": if_match} if if_match else None)
            size = answer.meta["size"]
            if max_bytes is not None and size > max_bytes:
                raise TooLarge(f"{uri} has {size:,} bytes, more than the limit of {max_bytes:,}.")
            data = bytes(answer.bytes())
        except (BaseError, FileNotFoundError, PermissionError, OSError) as error:
            raise _from_obstore(uri, error) from None
        if len(data) != size:
            raise _TornBody(f"{len(data):,} of {size:,} bytes")
        return Blob(data, answer.meta["e_tag"] or "")

    def _get_boto(self, bucket: str, key: str, if_match: str | None, max_bytes: int | None) -> Blob:
        from botocore.exceptions import HTTPClientError, ResponseStreamingError

        uri = f"s3://{bucket}/{key}"
        with _boto_errors(uri):
            condition = {"IfMatch": if_match} if if_match else {}
            answer = self._boto.get_object(Bucket=bucket, Key=key, **condition)
        size = answer["ContentLength"]
        if max_bytes is not None and size > max_bytes:
            answer["Body"].close()
            raise TooLarge(f"{uri} has {size:,} bytes, more than the limit of {max_bytes:,}.")
        try:
            return Blob(answer["Body"].read(), answer["ETag"])
        except (HTTPClientError, ResponseStreamingError) as error:
            raise _TornBody(str(error)) from None


class _TornBody(Exception):
    """A response that ended before its announced length."""


_ODD_KEY = re.compile(r"^/|//|/$|^$|(^|/)\.\.?(/|$)")
"""Keys with empty, `.` or `..` steps, which obstore refuses to spell."""


def _rust_store(session: Any, boto: Any, bucket: str, concurrency: int) -> "S3Store":
    """An obstore client that goes where boto3 goes: same endpoint, region and credentials."""
    from datetime import timedelta

    from obstore.auth.boto3 import Boto3CredentialProvider
    from obstore.store import S3Store

    endpoint = boto.meta.endpoint_url
    own_endpoint = not endpoint.endswith(".amazonaws.com")
    return S3Store(
        bucket,
        region=boto.meta.region_name or "us-east-1",
        virtual_hosted_style_request=not own_endpoint and "." not in bucket,
        credential_provider=Boto3CredentialProvider(session),
        client_options={
            "allow_http": endpoint.startswith("http://"),
            "connect_timeout": timedelta(seconds=5),
            "timeout": timedelta(seconds=30),
            "pool_max_idle_per_host": concurrency,
        },
        retry_config={
            "max_retries": 6,
            "retry_timeout": timedelta(seconds=60),
            "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=5), "base": 2},
        },
        **({"endpoint": endpoint} if own_endpoint else {}),
    )


def _from_obstore(uri: str, error: Exception) -> Exception:
    from obstore.exceptions import PermissionDeniedError, PreconditionError, UnauthenticatedError

    text = " ".join(str(error).split("Debug source")[0].split())[:500]
    if isinstance(error, FileNotFoundError):
        return NotFound(f"{uri}: there is no such object.")
    if isinstance(error, PreconditionError):
        return PreconditionFailed(f"{uri} is not the version that was asked for.")
    if isinstance(error, UnauthenticatedError) or any(code in text for code in CREDENTIAL_CODES):
        return CredentialsRefused(f"{uri}: the store does not accept the credentials. {text}")
    if isinstance(error, PermissionDeniedError | PermissionError):
        return Forbidden(f"{uri}: access denied.")
    if "response body" in text or "end of file" in text or "IncompleteMessage" in text:
        return _TornBody(text)
    return StoreUnreachable(f"{uri}: {text}")


@contextlib.contextmanager
def _boto_errors(uri: str) -> Iterator[None]:
    """Botocore's errors as ours; the one place that tells transient from terminal at the store."""
    from boto3.exceptions import S3UploadFailedError
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        raise _from_status(uri, code, status, str(error)) from None
    except NoCredentialsError:
        raise CredentialsRefused(
            f"{uri}: no AWS credentials were found. Set AWS_PROFILE or AWS_ACCESS_KEY_ID, or attach a role."
        ) from None
    except (BotoCoreError, S3UploadFailedError) as error:
        raise StoreUnreachable(f"{uri}: {error}") from None


def _from_status(uri: str, code: str, status: int, text: str) -> Exception:
    if code in CREDENTIAL_CODES:
        return CredentialsRefused(
            f"{uri}: the store does not accept the credentials ({code}). Renew them and start again."
        )
    if status == 404:
        return NotFound(f"{uri}: there is no such object{' (no such bucket)' if code == 'NoSuchBucket' else ''}.")
    if status in (401, 403):
        return Forbidden(f"{uri}: access denied ({code}).")
    if status in (409, 412):
        return PreconditionFailed(f"{uri} is not the version that was asked for.")
    if status == 429 or status >= 500:
        return StoreUnreachable(f"{uri}: {text}")
    return Terminal(f"{uri}: {text}")


class _RangeReader(io.RawIOBase):
    """Ranged GETs with If-Match behind a seekable file."""

    def __init__(self, store: ObjectStore, info: ObjectInfo) -> None:
        self._store, self._info, self._at = store, info, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._info.size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        wanted = min(len(buffer), self._info.size - self._at)
        if wanted <= 0:
            return 0
        data = self._read_range(self._at, wanted)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def _read_range(self, start: int, length: int) -> bytes:
        from botocore.exceptions import HTTPClientError, ResponseStreamingError

        place, uri = parse(self._info.uri), self._info.uri
        for _attempt in range(BODY_ATTEMPTS):
            try:
                with _boto_errors(uri):
                    answer = self._store._boto.get_object(
                        Bucket=place.bucket,
                        Key=place.key,
                        Range=f"bytes={start}-{start + length - 1}",
                        IfMatch=self._info.etag,
                    )
                data = bytes(answer["Body"].read())
            except (HTTPClientError, ResponseStreamingError):
                continue
            except (PreconditionFailed, NotFound):
                raise InputChanged(f"{uri} changed after the run was planned. Start the run again.") from None
            if len(data) == length:
                return data
        raise StoreUnreachable(f"{uri}: bytes {start:,} to {start + length:,} broke off {BODY_ATTEMPTS} times.")


# --- local files


@contextlib.contextmanager
def _local_errors(uri: str) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f"{uri}: there is no such file.") from None
    except PermissionError:
        raise Forbidden(f"{uri}: access denied.") from None
    except OSError as error:
        raise StoreUnreachable(f"{uri}: {error.strerror or error}.") from None


def _read_local(path: str, if_match: str | None, max_bytes: int | None) -> Blob:
    with _local_errors(path):
        # O_NONBLOCK: a pipe that somebody put among the images must not hang the run.
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            found = os.fstat(handle)
            if not stat.S_ISREG(found.st_mode):
                raise NotFound(f"{path} is not a regular file.")
            etag = _local_etag(found)
            if if_match is not None and etag != if_match:
                raise PreconditionFailed(f"{path} is not the version that was asked for.")
            if max_bytes is not None and found.st_size > max_bytes:
                raise TooLarge(f"{path} has {found.st_size:,} bytes, more than the limit of {max_bytes:,}.")
            return Blob(_read_exactly(handle, found.st_size), etag)
        finally:
            os.close(handle)


def _read_exactly(handle: int, size: int) -> bytes:
    """One read of the known size; more only when the kernel gives less (files over 2 GiB)."""
    data = os.read(handle, size)
    while len(data) < size:
        more = os.read(handle, size - len(data))
        if not more:
            break
        data += more
    return data


def _local_etag(found: os.stat_result) -> str:
    return f'"{found.st_mtime_ns:x}-{found.st_size:x}-{found.st_ino:x}"'


def _local_info(path: str, found: os.stat_result) -> ObjectInfo:
    return ObjectInfo(path, found.st_size, _local_etag(found), datetime.fromtimestamp(found.st_mtime, UTC))


def _walk_local(folder: str) -> Iterator[ObjectInfo]:
    for parent, names, files in os.walk(folder):
        names[:] = [name for name in names if not name.startswith(".")]
        for name in files:
            if not name.startswith("."):
                path = os.path.join(parent, name)
                with _local_errors(path), contextlib.suppress(FileNotFoundError):  # vanished between walk and stat
                    yield _local_info(path, os.stat(path))


def _write_local(path: str, data: bytes, if_none_match: bool, if_match: str | None) -> str:
    with _local_errors(path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        staged = _temporary_name(path)
        with open(staged, "wb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
            etag = _local_etag(os.fstat(handle.fileno()))
        try:
            _into_place(staged, path, if_none_match, if_match)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(staged)
        _flush_to_disk(os.path.dirname(path))
    return etag


def _into_place(staged: str, path: str, if_none_match: bool, if_match: str | None) -> None:
    if if_none_match:
        try:
            os.link(staged, path)  # atomic, and fails when there is something
        except FileExistsError:
            raise PreconditionFailed(f"{path} exists already.") from None
    elif if_match is not None:
        with open(f"{os.path.dirname(path)}/.{os.path.basename(path)}.lock", "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # between compare and replace; released when a killed process dies
            if not os.path.exists(path) or _local_etag(os.stat(path)) != if_match:
                raise PreconditionFailed(f"{path} is not the version that was asked for.")
            os.replace(staged, path)
    else:
        os.replace(staged, path)


def _temporary_name(path: str) -> str:
    """A hidden neighbour, so that the final rename stays within one file system and no reader lists it."""
    return f"{os.path.dirname(path)}/.{os.path.basename(path)}.{secrets.token_hex(6)}.tmp"


def _flush_to_disk(path: str) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
