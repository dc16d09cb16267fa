"""schemas/*.odcs.yaml as values: column types, what a value may be, the closed lists of reasons.

The YAML files are the contract; this module only reads them. The JSON Schemas beside them are generated the other way
round, from the classes (`scorer.run.schemas`).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, reduce
from importlib import resources
from typing import Any, cast

import pyarrow as pa
import pyarrow.compute as pc

from scorer.column_rules import Bound, Known, above, below, is_number, is_text, plain, unknown
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

OPTIONS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength")
"""logicalTypeOptions that are checked; others are refused."""


@dataclass(frozen=True)
class Column:
    """One property of a contract."""

    name: str
    type: pa.DataType | None
    required: bool
    minimum: Bound | None
    maximum: Bound | None
    min_length: int | None
    max_length: int | None
    valid_values: tuple[Known, ...] | None

    def broken(self, values: pa.Array) -> tuple[pa.Array, str]:
        """Which values are outside the contract, as a boolean mask without nulls, and the rule in words.

        Raises:
            ContractError: values of this type cannot be held against a rule, whatever they are; also if there are none.
        """
        values = plain(values)
        masks, rules = [pa.array([False] * len(values), pa.bool_())], []
        if self.required:
            masks.append(pc.is_null(values, nan_is_null=True))
            rules.append("required")
        if (self.minimum or self.maximum) and not is_number(values.type):
            raise ContractError(f"Column {self.name!r} is {values.type}, but the contract gives it a range of numbers.")
        if self.minimum is not None:
            masks.append(below(values, self.minimum))
            rules.append(f"{'more than' if self.minimum.exclusive else 'at least'} {self.minimum}")
        if self.maximum is not None:
            masks.append(above(values, self.maximum))
            rules.append(f"{'less than' if self.maximum.exclusive else 'at most'} {self.maximum}")
        if (self.min_length is not None or self.max_length is not None) and not is_text(values.type):
            raise ContractError(f"Column {self.name!r} is {values.type}, but the contract gives its texts a length.")
        if self.min_length is not None:
            masks.append(pc.fill_null(pc.less(_length(values), self.min_length), False))
            rules.append(f"of at least {self.min_length} characters")
        if self.max_length is not None:
            masks.append(pc.fill_null(pc.greater(_length(values), self.max_length), False))
            rules.append(f"of at most {self.max_length} characters")
        if self.valid_values is not None:
            masks.append(unknown(values, self.valid_values, self.name))
            rules.append("one of " + ", ".join(map(str, self.valid_values)))
        return reduce(pc.or_, masks), ", ".join(rules)


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
        SettingsError: not YAML, not ODCS v3, not exactly one table, or an option of a column that is not checked.
    """
    import yaml

    try:
        document = yaml.safe_load(text)
        if document["kind"] != "DataContract" or not str(document["apiVersion"]).startswith("v3"):
            raise ValueError("not a DataContract of apiVersion v3")
        (table,) = document["schema"]
        columns = tuple(_column(entry, origin) for entry in table["properties"])
        return Contract(str(table["name"]), str(document["version"]), columns)
    except (yaml.YAMLError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise SettingsError(
            f"The contract {origin} is not an Open Data Contract Standard v3 document with one table: "
            f"{type(error).__name__}: {error}. Nothing was read."
        ) from None


def _column(entry: Mapping[str, Any], origin: str) -> Column:
    options = _Options(entry.get("logicalTypeOptions") or {}, str(entry["name"]), origin)
    options.insist_known()
    return Column(
        name=str(entry["name"]),
        type=ARROW_TYPES.get(str(entry.get("physicalType"))),
        required=bool(entry.get("required", False)),
        minimum=options.bound("minimum", "exclusiveMinimum", max),
        maximum=options.bound("maximum", "exclusiveMaximum", min),
        min_length=options.length("minLength"),
        max_length=options.length("maxLength"),
        valid_values=_valid_values(entry.get("quality")),
    )


@dataclass(frozen=True)
class _Options:
    """logicalTypeOptions of one column."""

    given: Mapping[str, Any]
    column: str
    origin: str

    def insist_known(self) -> None:
        """What is not checked must not look as if it were."""
        for name in self.given:
            if name not in OPTIONS:
                raise self._refused(name, f"is not checked by scorer. It checks {', '.join(OPTIONS)}. Take it out")

    def bound(self, name: str, exclusive: str, stricter: Callable[[float, float], float]) -> Bound | None:
        """The stricter of an inclusive and an exclusive bound; the latter may be a boolean or a number of its own."""
        limit = self._number(name)
        beyond = self.given.get(exclusive)
        if beyond is None or beyond is False:
            return None if limit is None else Bound(limit)
        if beyond is True:
            if limit is None:
                raise self._refused(exclusive, f"is true, and there is no {name} that it could speak of. Give both")
            return Bound(limit, exclusive=True)
        only = cast(float, self._number(exclusive))
        if limit is None or stricter(limit, only) == only:
            return Bound(only, exclusive=True)
        return Bound(limit)

    def length(self, name: str) -> int | None:
        """A number of characters."""
        value = self.given.get(name)
        if value is not None and (type(value) is not int or not 0 <= value < 2**31):
            raise self._refused(name, f"is {value!r}. Write a whole number of characters")
        return value

    def _number(self, name: str) -> int | float | None:
        value = self.given.get(name)
        if value is None:
            return None
        if type(value) not in (int, float) or not _is_finite(value):
            raise self._refused(name, f"is {value!r}. Write a finite number as YAML reads it, 1000000 or 1.0e+6")
        return cast(float, value)

    def _refused(self, option: str, why: str) -> SettingsError:
        return SettingsError(
            f"The contract {self.origin}: column {self.column!r}: {option} {why}, and start again. Nothing was read."
        )


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def _valid_values(quality: list[Mapping[str, Any]] | None) -> tuple[Known, ...] | None:
    for rule in quality or ():
        if rule.get("metric") == "invalidValues" and rule.get("mustBe") == 0:
            return tuple(rule["arguments"]["validValues"])
    return None


def _length(values: pa.Array) -> pa.Array:
    return pc.utf8_length(pc.cast(values, pa.large_string()))


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
    return frozenset(map(str, built_in("predictions").column("reasons").valid_values or ()))


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
