"""schemas/*.odcs.yaml as values: column types, what a value may be, the closed lists of reasons.

The YAML files are the contract; this module only reads them. The JSON Schemas beside them are generated the other way
round, from the classes (`scorer.run.schemas`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from scorer.errors import ContractError, SettingsError

ARROW_TYPES: Mapping[str, pa.DataType] = {
    "string": pa.string(),
    "double": pa.float64(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "boolean": pa.bool_(),
    "list<string>": pa.list_(pa.field("element", pa.string())),
    "timestamp[us, tz=UTC]": pa.timestamp("us", tz="UTC"),
}
"""physicalType of the built-in contracts -> Arrow type."""


@dataclass(frozen=True)
class Column:
    """One property of a contract."""

    name: str
    type: pa.DataType | None
    required: bool
    minimum: float | None
    maximum: float | None
    min_length: int | None
    valid_values: tuple[str, ...] | None

    def broken(self, values: pa.Array) -> tuple[pa.Array, str]:
        """Which values are outside the contract, as a boolean mask without nulls, and the rule in words."""
        rules, broken = [], pa.array([False] * len(values), pa.bool_())
        if self.required:
            broken = pc.or_(broken, pc.is_null(values, nan_is_null=True))
            rules.append("required")
        if (self.minimum is not None or self.maximum is not None) and not _is_number(values.type):
            raise ContractError(f"Column {self.name!r} is {values.type}, but the contract gives it a range of numbers.")
        if self.minimum is not None:
            broken = pc.or_(broken, pc.fill_null(pc.less(values, self.minimum), False))
            rules.append(f"at least {self.minimum:g}")
        if self.maximum is not None:
            broken = pc.or_(broken, pc.fill_null(pc.greater(values, self.maximum), False))
            rules.append(f"at most {self.maximum:g}")
        if self.valid_values is not None:
            known = pc.is_in(pc.cast(values, pa.string()), value_set=pa.array(self.valid_values))
            broken = pc.or_(broken, pc.and_(pc.is_valid(values), pc.invert(known)))
            rules.append("one of " + ", ".join(self.valid_values))
        return broken, ", ".join(rules)


@dataclass(frozen=True)
class Contract:
    """One table: its name, version and columns in order."""

    name: str
    version: str
    columns: tuple[Column, ...]

    def column(self, name: str) -> Column:
        """The column of this name."""
        return next(column for column in self.columns if column.name == name)

    def arrow_schema(self, extra: tuple[pa.Field, ...] = ()) -> pa.Schema:
        """Names, types and nullability, `extra` fields last."""
        own = [pa.field(column.name, column.type, nullable=not column.required) for column in self.columns]
        return pa.schema([*own, *extra])


def read(text: str, origin: str) -> Contract:
    """A contract from ODCS v3 YAML.

    Args:
        text: the YAML.
        origin: where it comes from, for errors.

    Raises:
        SettingsError: not YAML, not ODCS v3, or not exactly one table.
    """
    import yaml

    try:
        document = yaml.safe_load(text)
        if document["kind"] != "DataContract" or not str(document["apiVersion"]).startswith("v3"):
            raise ValueError("not a DataContract of apiVersion v3")
        (table,) = document["schema"]
        columns = tuple(_column(entry) for entry in table["properties"])
        return Contract(str(table["name"]), str(document["version"]), columns)
    except (yaml.YAMLError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise SettingsError(
            f"The contract {origin} is not an Open Data Contract Standard v3 document with one table: "
            f"{type(error).__name__}: {error}. Nothing was read."
        ) from None


def _column(entry: Mapping[str, Any]) -> Column:
    options = entry.get("logicalTypeOptions") or {}
    return Column(
        name=str(entry["name"]),
        type=ARROW_TYPES.get(str(entry.get("physicalType"))),
        required=bool(entry.get("required", False)),
        minimum=options.get("minimum"),
        maximum=options.get("maximum"),
        min_length=options.get("minLength"),
        valid_values=_valid_values(entry.get("quality")),
    )


def _valid_values(quality: list[Mapping[str, Any]] | None) -> tuple[str, ...] | None:
    for rule in quality or ():
        if rule.get("metric") == "invalidValues" and rule.get("mustBe") == 0:
            return tuple(str(value) for value in rule["arguments"]["validValues"])
    return None


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def schema_text(name: str) -> str:
    """The text of one file of schemas/."""
    return resources.files("schemas").joinpath(name).read_text(encoding="utf-8")


@cache
def built_in(name: str) -> Contract:
    """listing_features, predictions or quarantine."""
    return read(schema_text(f"{name}.odcs.yaml"), f"schemas/{name}.odcs.yaml")


@cache
def reasons() -> frozenset[str]:
    """The closed list of reasons for which a row is degraded or failed."""
    return frozenset(built_in("predictions").column("reasons").valid_values or ())


@cache
def reason_texts() -> Mapping[str, str]:
    """Every reason of predictions and quarantine in one sentence for people."""
    import yaml

    texts: dict[str, str] = {}
    for name in ("predictions", "quarantine"):
        (table,) = yaml.safe_load(schema_text(f"{name}.odcs.yaml"))["schema"]
        for entry in table["properties"]:
            for custom in entry.get("customProperties", ()):
                if custom["property"] == "reasonTexts":
                    texts.update(custom["value"])
    return texts
