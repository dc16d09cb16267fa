"""Which columns a model takes as features, and how they become numbers, as its user says it."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from scorer.adopt.figures import Figures, read_figures
from scorer.errors import BundleError, NotFound, SettingsError
from scorer.intake.rows import ID, IMAGES
from scorer.model import strict_json
from scorer.model.golden import first_problem
from scorer.model.preprocessing import BooleanFeature, CategoryFeature, Feature, NumberFeature, Preprocessing
from scorer.objectstore import ObjectStore

MAX_BYTES = 16 << 20

Finite = Annotated[float, Field(allow_inf_nan=False)]


class _Column(BaseModel):
    """One entry of a features file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(min_length=1)]
    kind: Literal["number", "boolean", "category"] = "number"
    fill: bool | Finite | None = None
    shift: Finite | None = None
    scale: Annotated[Finite, Field(gt=0)] | None = None
    values: tuple[str, ...] = ()
    flag_missing: bool = False

    @property
    def scaled_by_file(self) -> bool:
        """Whether the scaler's file has its figures."""
        return self.kind == "number" and self.shift is None and self.scale is None


class _Columns(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    features: tuple[_Column, ...]


def read_preprocessing(features: str, scaler: str | None, store: ObjectStore) -> Preprocessing:
    """How a listing's columns become the matrix that the model takes.

    Args:
        features: names with commas between, or the place of a .json file.
        scaler: the place of a .skops or .json file, or None.
        store: where both are.

    Raises:
        SettingsError: the names are unusable, or the scaler has not one figure for each column of numbers.
        BundleError: a file is not what it should be.
        NotFound: there is none.
    """
    columns = _from_file(features, store) if features.endswith(".json") else _from_names(features)
    numbers = [column for column in columns if column.scaled_by_file]
    figures = read_figures(scaler, store) if scaler is not None else None
    by_name = dict(zip((column.name for column in numbers), _ordered(figures, numbers, scaler), strict=True))
    return Preprocessing(tuple(_feature(column, by_name.get(column.name)) for column in columns))


def _from_names(text: str) -> tuple[_Column, ...]:
    names = [name.strip() for name in text.split(",")] if text.strip() else []
    return _usable(tuple(_Column(name=name) for name in names if name), "features")


def _from_file(uri: str, store: ObjectStore) -> tuple[_Column, ...]:
    try:
        data = store.get(uri, max_bytes=MAX_BYTES).data
    except NotFound:
        raise NotFound(f"There is no file {uri}. No bundle was written.") from None
    strict_json.parse(data, uri, MAX_BYTES)
    try:
        return _usable(_Columns.model_validate_json(data).features, uri)
    except ValidationError as error:
        raise BundleError(f"{uri} does not describe features: {first_problem(error)}. No bundle was written.") from None


def _usable(columns: tuple[_Column, ...], where: str) -> tuple[_Column, ...]:
    names = [column.name for column in columns]
    if wrong := [name for name in names if names.count(name) > 1 or name in (ID, IMAGES)]:
        raise SettingsError(f"{where}: {wrong[0]!r} is there twice, or no feature. No bundle was written.")
    return columns


def _ordered(
    figures: Figures | None, numbers: Sequence[_Column], scaler: str | None
) -> list[tuple[float, float, float]]:
    """Shift, scale and middle of each column of numbers."""
    if figures is None:
        return [(0.0, 1.0, 0.0)] * len(numbers)
    names = [column.name for column in numbers]
    order = list(range(len(figures.shift)))
    if figures.names:
        if sorted(figures.names) != sorted(names):
            raise SettingsError(
                f"{scaler} was fitted on {', '.join(figures.names)}; the columns of numbers are {', '.join(names)}. No"
                " bundle was written."
            )
        order = [figures.names.index(name) for name in names]
    if len(order) != len(names):
        raise SettingsError(
            f"{scaler} has figures for {len(order)} columns; there are {len(names)} of numbers ({', '.join(names)})."
            " No bundle was written. A features file can give shift 0 and scale 1 to those that were not scaled."
        )
    return [(float(figures.shift[at]), float(figures.scale[at]), float(figures.middle[at])) for at in order]


def _feature(column: _Column, figures: tuple[float, float, float] | None) -> Feature:
    match column.kind:
        case "boolean":
            return BooleanFeature(column.name, "bool", fill=bool(column.fill), flag_missing=column.flag_missing)
        case "category":
            return CategoryFeature(column.name, "string", values=column.values, flag_missing=column.flag_missing)
    shift, scale, middle = figures or (column.shift or 0.0, column.scale or 1.0, column.shift or 0.0)
    fill = middle if column.fill is None else float(column.fill)
    return NumberFeature(column.name, "double", fill=fill, shift=shift, scale=scale, flag_missing=column.flag_missing)
