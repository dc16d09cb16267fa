"""The SQL that declares the predictions: its columns are the contract's, and what can be run here runs."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from scorer.contracts import ARROW_TYPES, built_in, schema_text
from tests.output.versions import KEY, listed, published

PAGE = (Path(__file__).parents[1] / "docs" / "warehouses.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE))

TYPES: Mapping[str, Mapping[str, str]] = {
    "Athena": {
        "string": "string",
        "double": "double",
        "int32": "int",
        "list<string>": "array<string>",
        "timestamp[us, tz=UTC]": "timestamp",
    },
    "BigQuery": {
        "string": "STRING",
        "double": "FLOAT64",
        "int32": "INT64",
        "list<string>": "ARRAY<STRING>",
        "timestamp[us, tz=UTC]": "TIMESTAMP",
    },
    "Snowflake": {
        "string": "VARCHAR",
        "double": "DOUBLE",
        "int32": "INTEGER",
        "list<string>": "VARIANT",
        "timestamp[us, tz=UTC]": "TIMESTAMP_NTZ",
    },
    "Redshift Spectrum": {
        "string": "varchar(256)",
        "double": "double precision",
        "int32": "int",
        "list<string>": "array<varchar(256)>",
        "timestamp[us, tz=UTC]": "timestamp",
    },
    "DuckDB": {
        "string": "VARCHAR",
        "double": "DOUBLE",
        "int32": "INTEGER",
        "list<string>": "VARCHAR[]",
        "timestamp[us, tz=UTC]": "TIMESTAMPTZ",
    },
    "Spark": {
        "string": "STRING",
        "double": "DOUBLE",
        "int32": "INT",
        "list<string>": "ARRAY<STRING>",
        "timestamp[us, tz=UTC]": "TIMESTAMP",
    },
}


def blocks(section: str) -> list[str]:
    """The SQL of a section, block by block."""
    return re.findall(r"```sql\n(.*?)```", SECTIONS[section], re.DOTALL)


def declared(section: str) -> list[tuple[str, str]]:
    """Column and type, in order, as the section's first block with columns declares them; partition keys left out."""
    found = re.findall(r"^  (\w+)(?:::| )([^\n]+?)(?: AS [^\n]*)?,?$", "\n".join(blocks(section)), re.MULTILINE)
    names = {column.name for column in built_in("predictions").columns}
    return [(name, kind) for name, kind in found if name in names]


@pytest.mark.parametrize("warehouse", TYPES)
def test_a_declaration_has_the_columns_of_the_contract_in_order_and_their_types(warehouse: str) -> None:
    physical = {str(kind): name for name, kind in ARROW_TYPES.items()}
    columns = built_in("predictions").columns

    expected = [(column.name, TYPES[warehouse][physical[str(column.type)]]) for column in columns]

    assert declared(warehouse) == expected


def test_every_warehouse_has_a_section_and_every_section_of_sql_is_checked() -> None:
    with_columns = {name for name in SECTIONS if blocks(name)} - {"The refused rows"}

    assert with_columns == set(TYPES)


def test_what_the_snowflake_columns_read_is_what_they_are_called() -> None:
    read = re.findall(r"^  (\w+) (\w+) AS \(value:(\w+)::(\w+)\)", blocks("Snowflake")[0], re.MULTILINE)

    assert len(read) == len(built_in("predictions").columns)
    assert [(name, kind) for name, kind, _, _ in read] == [(name, kind) for _, _, name, kind in read]


def test_every_folder_in_sql_ends_with_a_slash_so_that_the_state_beside_it_is_no_data() -> None:
    sql = "\n".join(block for section in TYPES for block in blocks(section))

    assert re.findall(r"(?:s3|s3a|gs)://[\w/.]*predictions'", sql) == []
    assert not re.search(r"://shop/predictions\*", sql)


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB after the page's statements, on a night that was published twice, the second time in two files."""
    published(str(tmp_path), "run-1", ["a", "b", "c"])
    published(str(tmp_path), "run-2", ["a", "b", "c", "d"], per_file=2)
    with duckdb.connect() as connection:
        for block in blocks("DuckDB"):
            connection.execute(block.replace("s3://shop", str(tmp_path)))
        yield connection


@pytest.mark.parametrize("view", ["predictions", "current_predictions"])
def test_duckdb_reads_the_current_version_with_the_types_of_the_contract(
    warehouse: duckdb.DuckDBPyConnection, view: str
) -> None:
    rows = warehouse.execute(f"SELECT listing_id, run_id, status, reasons, ds FROM {view} ORDER BY 1").fetchall()
    types = {name: kind for name, kind, *_ in warehouse.execute(f"DESCRIBE {view}").fetchall()}

    assert [(row[0], row[1]) for row in rows] == [(name, "run-2") for name in "abcd"]
    assert [row[2] for row in rows] == ["scored", "degraded", "failed", "scored"]
    assert rows[1][3] == ["no_images"]
    assert {f"ds={row[4]}" for row in rows} == {KEY}
    expected = dict(declared("DuckDB")) | {"ds": "DATE"}
    assert types == expected | {"scored_at": "TIMESTAMP WITH TIME ZONE"}


def test_duckdb_reads_nights_of_an_earlier_contract_beside_later_ones(tmp_path: Path) -> None:
    published(str(tmp_path), "run-1", ["a", "b", "c"])
    old = tmp_path / "predictions" / "ds=2026-11-01" / "part-00000.parquet"
    old.parent.mkdir()
    later = ["prediction_low", "prediction_high", "prediction_class", "image_effect"]
    pq.write_table(listed(str(tmp_path)).drop_columns(later), old)

    with duckdb.connect() as connection:
        connection.execute(blocks("DuckDB")[0].replace("s3://shop", str(tmp_path)))
        found = connection.execute("SELECT count(*), count(prediction) FROM predictions").fetchone()

    assert found == (6, 4)


def test_the_question_about_refused_rows_can_be_asked_of_the_quarantines_columns(tmp_path: Path) -> None:
    (question,) = blocks("The refused rows")
    columns = re.findall(r"- name: (\w+)\n        logicalType", schema_text("quarantine.odcs.yaml"))

    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE quarantine ({', '.join(f'{name} VARCHAR' for name in columns)}, ds DATE)")
        assert connection.execute(question).fetchall() == []
