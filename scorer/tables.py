"""The one door to Iceberg catalogs, which pyiceberg's own configuration names: ~/.pyiceberg.yaml, PYICEBERG_CATALOG__*.

Settings, manifests and logs hold a table's name and nothing else: credentials stay in pyiceberg's configuration.
"""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Self, TypeVar

from scorer.errors import CredentialsRefused, ScorerError, SettingsError, StoreUnreachable

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table

Result = TypeVar("Result")

SCHEME = "iceberg:"

SPELLED = re.compile(r"iceberg:([\w-]+)((?:\.[\w-]+)+)\.([\w-]+)(?:@(\d{1,19}))?")

PEERS = frozenset({"botocore", "google", "pyiceberg", "requests", "sqlalchemy", "thrift", "urllib3"})
"""Packages whose errors say that a catalog, or the store of its metadata, did not do what it was asked."""

PAUSES = (0.1, 0.2, 0.4, 0.8)
"""Seconds before what others may have made meanwhile is tried again."""


@dataclass(frozen=True)
class TableName:
    """Which table of which catalog.

    Attributes:
        catalog: name of a catalog in pyiceberg's configuration.
        identifier: namespaces and table.
        snapshot: of the table; None: whatever is current.
    """

    catalog: str
    identifier: tuple[str, ...]
    snapshot: int | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """From `iceberg:CATALOG.NAMESPACE.TABLE`, with `@SNAPSHOT` where one is meant. Raises SettingsError."""
        found = SPELLED.fullmatch(text)
        if found is None:
            raise SettingsError(
                f"{text!r} names no table. Expected iceberg:CATALOG.NAMESPACE.TABLE, where CATALOG is configured for"
                " pyiceberg; letters, digits, _ and - in each part; to read, @SNAPSHOT may follow. Nothing was started."
            )
        catalog, namespaces, table, snapshot = found.groups()
        return cls(catalog, (*namespaces.strip(".").split("."), table), int(snapshot) if snapshot else None)

    def __str__(self) -> str:
        return ".".join((self.catalog, *self.identifier))


def is_table(uri: str) -> bool:
    """Whether a place is spelled as a table."""
    return uri.startswith(SCHEME)


@cache
def catalog(name: str) -> "Catalog":
    """The catalog of this name, one a process.

    Raises:
        SettingsError: the extra `iceberg` is not installed, or pyiceberg's configuration does not fit.
        StoreUnreachable: it does not answer.
    """
    try:
        from pyiceberg.catalog import load_catalog
    except ModuleNotFoundError:
        raise SettingsError(
            'Tables need the extra iceberg: pip install "scorer[iceberg]". Nothing was started.'
        ) from None
    with asked(f"The catalog {name}"):
        return made(lambda: load_catalog(name))


def load(name: TableName) -> "Table":
    """The table as it is now. Raises as `catalog`, and pyiceberg's NoSuchTableError."""
    found = catalog(name.catalog)
    from pyiceberg.exceptions import NoSuchTableError

    with asked(f"The table {name}"):
        try:
            return found.load_table(name.identifier)
        except NoSuchTableError:
            pass
    raise NoSuchTableError(str(name))


def made(make: Callable[[], Result]) -> Result:
    """What `make` returns, after up to five tries.

    Processes that start at the same time all find a new SQL catalog without its own tables, without the namespace. Each
    makes them, one succeeds, and the others get the database's bare error: a second look finds them made.
    """
    for pause in PAUSES:
        try:
            return make()
        except Exception as error:
            if type(error).__module__.partition(".")[0] != "sqlalchemy":
                raise
        time.sleep(pause)
    return make()


@contextmanager
def asked(what: str) -> Iterator[None]:
    """What catalogs raise, as errors of ours. Those of a commit, and of a table that is not there, pass as they are."""
    from pyiceberg import exceptions

    refused = (exceptions.UnauthorizedError, exceptions.ForbiddenError, exceptions.OAuthError)
    passing = (exceptions.CommitFailedException, exceptions.NoSuchTableError, exceptions.ValidationException)
    try:
        yield
    except (ScorerError, *passing):
        raise
    except refused as error:
        raise CredentialsRefused(f"{what}: access refused: {_said(error)}. See pyiceberg's configuration.") from None
    except (ValueError, exceptions.NotInstalledError) as error:
        raise SettingsError(f"{what} cannot be used as pyiceberg is configured: {_said(error)}.") from None
    except Exception as error:
        if not isinstance(error, OSError) and type(error).__module__.partition(".")[0] not in PEERS:
            raise
        raise StoreUnreachable(f"{what} did not answer: {type(error).__name__}: {_said(error)}.") from None


def _said(error: Exception) -> str:
    """One line. A connection's URL may hold a password."""
    text = " ".join(str(error).split())
    return re.sub(r"//[^/@\s]*@", "//...@", text)[:300].rstrip(".")
