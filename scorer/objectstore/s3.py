"""Objects in S3 and whatever speaks its protocol.

Few large requests (listing, Parquet, state, publishing) go through boto3, which knows every credential source and every
dialect. The many small ones (images) go through obstore, a Rust client with boto3's credentials, at about a tenth
of the CPU time a GET. A key that obstore cannot spell (`a//b`, `./a`) falls back to boto3.
"""

import contextlib
import io
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from scorer.errors import (
    CredentialsRefused,
    Forbidden,
    InputChanged,
    NotFound,
    PreconditionFailed,
    StoreUnreachable,
    Terminal,
    Throttled,
    TooLarge,
)
from scorer.objectstore.places import MAX_KEY, Blob, ObjectInfo, Place, parse
from scorer.objectstore.retry import Limiter, Patience, Result

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


class S3:
    """Objects by bucket and key. See ObjectStore for what each call promises."""

    def __init__(self, concurrency: int, patience: Patience) -> None:
        """`concurrency` bounds the GETs in flight and the pooled connections."""
        self._concurrency = concurrency
        self._limiter = Limiter(concurrency)
        self.patience = patience
        self._rust_stores: dict[str, S3Store] = {}

    @cached_property
    def _session(self) -> Any:
        import boto3

        return boto3.Session()

    @cached_property
    def boto(self) -> Any:
        """The client of the few large requests."""
        from botocore.config import Config

        return self._session.client(
            "s3",
            config=Config(
                max_pool_connections=self._concurrency,
                connect_timeout=5,
                read_timeout=60,
                # `Patience` retries, for both clients, within one budget; boto3 would not retry a torn body at all.
                retries={"mode": "standard", "total_max_attempts": 1},
                # Stores other than AWS answer 4xx to the newer default checksums.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )

    def get(self, place: Place, if_match: str | None, max_bytes: int | None) -> Blob:
        """The whole object; as many at a time as the store bears."""
        if place.too_long:
            raise NotFound(f"{place.uri}: there can be no such object (its key is longer than {MAX_KEY:,} bytes).")
        read = self._get_by_boto if ODD_KEY.search(place.key) else self._get_by_obstore

        return self.politely(lambda: read(place, if_match, max_bytes))

    def head(self, place: Place) -> ObjectInfo:
        """Size, ETag and time."""
        answer = self._ask(place, lambda: self.boto.head_object(Bucket=place.bucket, Key=place.key))
        return ObjectInfo(place.uri, answer["ContentLength"], answer["ETag"], answer["LastModified"])

    def list_all(self, place: Place) -> Iterator[ObjectInfo]:
        """Every object below a prefix, folder markers left out."""
        ask = partial(self.boto.list_objects_v2, Bucket=place.bucket, Prefix=place.key)
        more: dict[str, str] = {}
        while True:
            page = self._ask(place, partial(ask, **more))
            for item in page.get("Contents", ()):
                if not item["Key"].endswith("/"):
                    uri = Place(place.bucket, item["Key"]).uri
                    yield ObjectInfo(uri, item["Size"], item["ETag"], item["LastModified"])
            if not page.get("IsTruncated"):
                return
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def download(self, place: Place, path: Path) -> None:
        """In parts when it is large."""
        self._ask(place, lambda: self.boto.download_file(place.bucket, place.key, str(path)))

    def politely(self, request: Callable[[], Result]) -> Result:
        """A small request as the store bears it: tried again, and fewer at a time when it is throttled."""

        def attempt() -> Result:
            with self._limiter.place():
                return request()

        return self.patience.call(attempt)

    def open(self, place: Place, etag: str | None) -> BinaryIO:
        """Ranged GETs of one version."""
        info = self.head(place)
        if etag is not None and info.etag != etag:
            raise InputChanged(f"{place.uri} changed after the run was planned. Start the run again.")
        reader = _RangeReader(self, place, info)
        return cast(BinaryIO, io.BufferedReader(reader, buffer_size=256 * 1024))

    def put(self, place: Place, data: bytes, if_none_match: bool, if_match: str | None) -> str:
        """One PUT, conditional by the store itself. A lost answer may turn a success into PreconditionFailed."""
        condition = _condition(if_none_match, if_match)
        answer = self._ask(
            place, lambda: self.boto.put_object(Bucket=place.bucket, Key=place.key, Body=data, **condition)
        )
        return str(answer["ETag"])

    def put_file(self, place: Place, path: Path) -> ObjectInfo:
        """Sent in parts when it is large; visible when complete."""
        self._ask(place, lambda: self.boto.upload_file(str(path), place.bucket, place.key))
        path.unlink()
        return self.head(place)

    def copy(self, origin: Place, place: Place, if_none_match: bool, if_match: str | None) -> ObjectInfo:
        """By the store, without a byte through here. Over the limit of one request the conditions do not hold."""
        where = {"Bucket": origin.bucket, "Key": origin.key}
        condition = _condition(if_none_match, if_match)
        if self.head(origin).size <= COPY_LIMIT:
            self._ask(place, lambda: self._copy_at_once(where, place, condition))
        else:
            self._ask(place, lambda: self.boto.copy(where, place.bucket, place.key))
        return self.head(place)

    def _copy_at_once(self, where: dict[str, str | None], place: Place, condition: dict[str, str]) -> None:
        from botocore.exceptions import ClientError

        try:
            self.boto.copy_object(CopySource=where, Bucket=place.bucket, Key=place.key, **condition)
        except ClientError as error:
            if not condition or error.response.get("Error", {}).get("Code") != "NotImplemented":
                raise
            self.boto.copy_object(CopySource=where, Bucket=place.bucket, Key=place.key)

    def delete(self, place: Place) -> None:
        """One by one: DeleteObjects needs a checksum header that S3-compatible stores disagree about."""
        self._ask(place, lambda: self.boto.delete_object(Bucket=place.bucket, Key=place.key))

    def read_range(self, place: Place, etag: str, start: int, length: int) -> bytes:
        """Bytes of one version. Raises InputChanged if it is gone."""

        def attempt() -> bytes:
            with boto_errors(place.uri):
                answer = self.boto.get_object(
                    Bucket=place.bucket, Key=place.key, Range=f"bytes={start}-{start + length - 1}", IfMatch=etag
                )
                data = bytes(answer["Body"].read())
            if len(data) != length:
                raise StoreUnreachable(f"{place.uri}: {len(data):,} bytes came instead of {length:,}.")
            return data

        try:
            return self.patience.call(attempt)
        except (PreconditionFailed, NotFound):
            raise InputChanged(f"{place.uri} changed after the run was planned. Start the run again.") from None

    def _ask(self, place: Place, request: Callable[[], Any]) -> Any:
        """One request by boto3, tried again while the store is unreachable."""

        def attempt() -> Any:
            with boto_errors(place.uri):
                return request()

        return self.patience.call(attempt)

    def rust(self, bucket: str) -> "S3Store":
        """The client of the many small requests."""
        store = self._rust_stores.get(bucket)
        if store is None:
            store = self._rust_stores[bucket] = _rust_store(self._session, self.boto, bucket, self._concurrency)
        return store

    def _get_by_obstore(self, place: Place, if_match: str | None, max_bytes: int | None) -> Blob:
        import obstore
        from obstore.exceptions import BaseError

        assert place.bucket is not None
        try:
            condition: Any = {"if_match": if_match} if if_match else None
            answer = obstore.get(self.rust(place.bucket), place.key, options=condition)
            size = answer.meta["size"]
            _insist_on_size(place.uri, size, max_bytes)
            data = bytes(answer.bytes())
        except (BaseError, OSError) as error:
            raise from_obstore(place.uri, error) from None
        if len(data) != size:
            raise StoreUnreachable(f"{place.uri}: {len(data):,} bytes came instead of {size:,}.")
        return Blob(data, answer.meta["e_tag"] or "")

    def _get_by_boto(self, place: Place, if_match: str | None, max_bytes: int | None) -> Blob:
        condition = {"IfMatch": if_match} if if_match else {}
        with boto_errors(place.uri):
            answer = self.boto.get_object(Bucket=place.bucket, Key=place.key, **condition)
            _insist_on_size(place.uri, answer["ContentLength"], max_bytes)
            return Blob(answer["Body"].read(), answer["ETag"])


def _condition(if_none_match: bool, if_match: str | None) -> dict[str, str]:
    if if_none_match:
        return {"IfNoneMatch": "*"}
    return {"IfMatch": if_match} if if_match else {}


def _insist_on_size(uri: str, size: int, max_bytes: int | None) -> None:
    if max_bytes is not None and size > max_bytes:
        raise TooLarge(f"{uri} has {size:,} bytes, more than the limit of {max_bytes:,}.")


ODD_KEY = re.compile(r"^/|//|/$|^$|(^|/)\.\.?(/|$)")
"""Keys with empty, `.` or `..` steps, which obstore refuses to spell."""


def _rust_store(session: Any, boto: Any, bucket: str, concurrency: int) -> "S3Store":
    """An obstore client that goes where boto3 goes: same endpoint, region and credentials."""
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
            "pool_max_idle_per_host": str(concurrency),
        },
        retry_config={"max_retries": 0},
        **({"endpoint": endpoint} if own_endpoint else {}),
    )


_ANSWER = re.compile(r"Error performing \S+ \S+ in \S+ - Server returned non-2xx status code: ((\d{3}).*)", re.DOTALL)
_CODE = re.compile(r"<Code>(\w+)</Code>")


def from_obstore(uri: str, error: Exception) -> Exception:
    """Obstore's errors as ours. Its text quotes key and URL before the answer, and neither is to be taken for it."""
    from obstore.exceptions import PermissionDeniedError, PreconditionError, UnauthenticatedError

    text = str(error).replace(f"for path {parse(uri).key}: ", "", 1)
    answer = _ANSWER.search(text)
    status, body = (int(answer[2]), answer[1]) if answer else (0, "")
    code = _CODE.search(body)
    shown = " ".join((body or text).split("Debug source")[0].split())
    shown = shown[:500] if body else shown[-500:]  # without an answer the reason stands behind the URL
    if isinstance(error, FileNotFoundError):
        return NotFound(f"{uri}: there is no such object.")
    if isinstance(error, PreconditionError):
        return PreconditionFailed(f"{uri} is not the version that was asked for.")
    if isinstance(error, UnauthenticatedError) or (code and code[1] in CREDENTIAL_CODES):
        return CredentialsRefused(f"{uri}: the store does not accept the credentials. {shown}")
    if isinstance(error, PermissionDeniedError | PermissionError):
        return Forbidden(f"{uri}: access denied.")
    return _by_status(uri, status, shown)


def _by_status(uri: str, status: int, text: str) -> Exception:
    """What is left: throttled, broken for now (no answer at all counts as that), or wrong for good."""
    if status in (429, 503):
        return Throttled(f"{uri}: the store asks for fewer requests. {text}")
    if status == 0 or status == 408 or status >= 500:
        return StoreUnreachable(f"{uri}: {text}")
    return Terminal(f"{uri}: {text}")


@contextlib.contextmanager
def boto_errors(uri: str) -> Iterator[None]:
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
    return _by_status(uri, status, text)


class _RangeReader(io.RawIOBase):
    """Ranged GETs with If-Match behind a seekable file."""

    def __init__(self, s3: S3, place: Place, info: ObjectInfo) -> None:
        self._s3, self._place, self._info, self._at = s3, place, info, 0

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
        data = self._s3.read_range(self._place, self._info.etag, self._at, wanted)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
