"""The digests of a bundle's files, and of the whole: what makes a bundle the one that was trained."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from scorer.errors import BundleError
from scorer.model import strict_json

NAME = "digests.json"
"""The one file without a digest of its own; written last, so that an unfinished bundle is none."""

SIGNATURE = "signature.json"
"""May lie beside the files: it signs their digest, so it cannot be one of them. See `scorer.model.signature`."""

FORMAT = 1
MAX_BYTES = 1 << 20
MAX_FILES = 1000

_SHA256 = re.compile(r"[0-9a-f]{64}")
_STEP = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
_PATH = re.compile(rf"{_STEP}(/{_STEP}){{0,7}}")
"""Relative, and no step begins with a dot: nothing outside the bundle can be named."""


def sha256(data: bytes) -> str:
    """In hexadecimal."""
    return hashlib.sha256(data).hexdigest()


@dataclass(frozen=True)
class Digests:
    """Path below the bundle -> SHA-256 of each file.

    Attributes:
        files: sorted by path.
        created_at: ISO 8601, UTC. Outside the digest, so that the same training twice gives the same digest.
    """

    files: Mapping[str, str]
    created_at: str

    @classmethod
    def of(cls, files: Mapping[str, bytes]) -> "Digests":
        """Of a bundle that is made now."""
        return cls(
            {path: sha256(files[path]) for path in sorted(files)}, datetime.now(UTC).isoformat(timespec="seconds")
        )

    @property
    def whole(self) -> str:
        """The digest of the bundle: SHA-256 over its lines of path, NUL, digest."""
        return sha256("".join(f"{path}\0{digest}\n" for path, digest in sorted(self.files.items())).encode())

    def to_json(self) -> bytes:
        """The content of digests.json."""
        return strict_json.dump(
            {"format": FORMAT, "files": dict(self.files), "bundle": self.whole, "created_at": self.created_at}
        )

    @classmethod
    def from_json(cls, data: bytes, where: str) -> "Digests":
        """Read digests.json. Raises BundleError: not of this format, a path that leads out, or changed."""
        values = strict_json.parse(data, where, MAX_BYTES)
        if values.get("format") != FORMAT:
            raise BundleError(
                f"{where} is of format {values.get('format')!r}; this version of scorer reads format {FORMAT}."
                " Nothing was scored. Score with the version that saved the bundle, or train it again with this one."
            )
        files, created_at = values.get("files"), values.get("created_at")
        if not (isinstance(files, dict) and 0 < len(files) <= MAX_FILES and isinstance(created_at, str)):
            raise BundleError(
                f"{where} does not list the files of a bundle. Nothing was scored; save the bundle again."
            )
        for path, digest in files.items():
            _insist_on_entry(path, digest, where)
        digests = cls(files, created_at)
        if values.get("bundle") != digests.whole:
            raise BundleError(f"{where} was changed: its digests do not add up to its own. Nothing was scored.")
        return digests

    def compare(self, found: Iterable[str], where: str) -> None:
        """Raise BundleError that names each file that is missing, or there without being listed."""
        present = set(found) - {NAME, SIGNATURE}
        problems = [f"{path} is missing" for path in sorted(self.files.keys() - present)]
        problems += [f"{path} does not belong to it" for path in sorted(present - self.files.keys())]
        if problems:
            shown = "; ".join(problems[:10]) + ("; ..." if len(problems) > 10 else "")
            raise BundleError(
                f"The bundle {where} is not the one that was saved: {shown}. Nothing was scored."
                " Copy or train it again; what does not belong to it must live elsewhere."
            )

    def check(self, path: str, data: bytes, where: str) -> None:
        """Raise BundleError that names the file if these are not its bytes."""
        if sha256(data) != self.files[path]:
            raise BundleError(
                f"The bundle {where} was changed: {path} has another SHA-256 than when it was saved."
                " Nothing was scored. Copy or train it again."
            )


def _insist_on_entry(path: str, digest: Any, where: str) -> None:
    if not _PATH.fullmatch(path) or path in (NAME, SIGNATURE):
        raise BundleError(f"{where} names {path!r}, which is no file inside a bundle. Nothing was read from there.")
    if not (isinstance(digest, str) and _SHA256.fullmatch(digest)):
        raise BundleError(f"{where} gives no SHA-256 for {path}. Nothing was scored; save the bundle again.")
