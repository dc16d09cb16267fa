"""Catalogs of Iceberg tables for the tests: SQLite, with tables on local files or in S3."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyiceberg.catalog
import pytest
from pyiceberg.table import Table
from pyiceberg.utils.config import Config

from scorer import tables
from scorer.objectstore import join, parse

SPELLED = "iceberg:lake.shop.predictions"


@dataclass(frozen=True)
class Lake:
    """One catalog, and the name of a table in it that nobody has made yet."""

    environ: Mapping[str, str]
    spelled: str = SPELLED

    @property
    def table(self) -> Table:
        """As it is now."""
        return tables.load(tables.TableName.parse(self.spelled))

    def rows(self, where: str | None = None) -> pa.Table:
        """What a reader of the table sees."""
        return (self.table.scan(where) if where else self.table.scan()).to_arrow()

    def drop(self) -> None:
        """The table goes, its files stay."""
        name = tables.TableName.parse(self.spelled)
        tables.catalog(name.catalog).drop_table(name.identifier)


def lake(folder: Path, warehouse: str, environ: Mapping[str, str] = os.environ) -> Lake:
    """Configured as an operator would: by environment variables alone."""
    found = {
        "PYICEBERG_CATALOG__LAKE__TYPE": "sql",
        "PYICEBERG_CATALOG__LAKE__URI": f"sqlite:///{folder / 'catalog.db'}",
        "PYICEBERG_CATALOG__LAKE__WAREHOUSE": join(warehouse, "lake"),
    }
    if parse(warehouse).bucket is not None:  # pyiceberg does not look at AWS_ENDPOINT_URL
        found["PYICEBERG_CATALOG__LAKE__S3__ENDPOINT"] = environ["AWS_ENDPOINT_URL"]
        found["PYICEBERG_CATALOG__LAKE__S3__REGION"] = environ["AWS_DEFAULT_REGION"]
    return Lake(found)


def enter(found: Lake, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """This process, and those that it starts, find this catalog and no other."""
    for name, value in found.environ.items():
        monkeypatch.setenv(name, value)
    configure()
    return found


def configure() -> None:
    """Environment variables are read once a process: read them again."""
    pyiceberg.catalog._ENV_CONFIG = Config()
    tables.catalog.cache_clear()
