"""Listings with a known target, their distinct images decoded once, and which of them hang together."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from scorer.errors import ContractError, InputError, NothingToDo, SettingsError
from scorer.intake.partitions import Partition, find_keys, open_partition
from scorer.intake.pixels import PixelSpec
from scorer.intake.rows import ID, IMAGES, image_table, read_table
from scorer.model.preprocessing import floats, kind_of
from scorer.objectstore import ObjectStore
from scorer.settings import TrainJob
from scorer.training.classes import names_classes, read_classes
from scorer.training.images import ImageCache, Source, cache_images
from scorer.training.objective import objective_of
from scorer.training.split import Rows
from scorer.training.ties import NO_TIES, Ties, find_ties, moments
from scorer.training.weighting import read_weights

Progress = Callable[[str], None]
Index = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Examples:
    """n listings.

    Attributes:
        table: their columns as read.
        partitions: keys of the partitions they come from.
        target: float64 [n], finite; of classes their places.
        uris: the distinct image URIs as written.
        given: int32 [n, K], which of `uris` each listing names, -1 where it names fewer.
        images: int32 [n, K], slots in `cache`, -1 where there is no image that can be used.
        cache: the decoded images.
        groups: int64 [n]; listings with the same number stay on one side of any split.
        without_target: rows that were left out because their target is null.
        ties: what makes the groups.
        times: int64 [n], when each listing was, ascending; None where no column says so.
        classes: what the targets name: each is a place in it; none where they are numbers.
        weights: float64 [n], what each listing counts, 1 on average; None: all the same.
        further: column -> float64 [n], finite, of the further targets.
    """

    table: pa.Table
    partitions: tuple[str, ...]
    target: npt.NDArray[np.float64]
    uris: list[str]
    given: Index
    images: Index
    cache: ImageCache
    groups: Rows
    without_target: int
    ties: Ties = NO_TIES
    times: Rows | None = None
    weights: npt.NDArray[np.float64] | None = None
    classes: tuple[str, ...] = ()
    further: Mapping[str, npt.NDArray[np.float64]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.target)

    def weight(self, rows: Rows) -> npt.NDArray[np.float64]:
        """What some of them count, float64 [m]."""
        return np.ones(len(rows)) if self.weights is None else self.weights[rows]


def open_partitions(job: TrainJob, store: ObjectStore) -> list[Partition]:
    """The partitions to train on. Raises NothingToDo when there is none, InputError when a named one is missing."""
    keys = list(job.partitions) or find_keys(job.listings, store)
    found = [(key, open_partition(job.listings, key or None, store)) for key in keys]
    if missing := [key for key, partition in found if partition is None]:
        raise InputError(f"No Parquet file in {', '.join(missing)} below {job.listings}. Nothing was trained.")
    if not found:
        raise NothingToDo(f"There is no Parquet file below {job.listings}, so there is nothing to train on.")
    return [partition for _, partition in found if partition is not None]


def read_examples(
    partitions: list[Partition],
    job: TrainJob,
    spec: PixelSpec,
    source: Source,
    store: ObjectStore,
    folder: Path,
    kept: Path | None = None,
) -> Examples:
    """Read the rows, leave those without target out, fetch and decode the images.

    Args:
        partitions: where the rows are.
        job: names of targets, group, time and weights, images per listing.
        spec: how images are decoded.
        source: where they come from.
        store: where the rows come from.
        folder: for the decoded images.
        kept: in its place, a folder that outlives a training that is cut off.

    Raises:
        ContractError: a column is missing or of the wrong type, a target is not finite, or a weight makes no sense.
        SettingsError: a setting does not fit the target: one of numbers for classes, or one of classes for numbers.
        InputError: no listing has a target, or none an image that can be used.
        StoreUnreachable: the store is down.
    """
    everything = _read(partitions, store, job.time_column)
    named_by = {"weight": job.weight, "time_column": job.time_column}
    for setting, name in (("group", ID), ("group", job.group), *named_by.items()):
        if name is not None and pa.types.is_nested(column_of(everything, name, setting).type):
            raise ContractError(f"{setting}: column {name!r} is no plain value in each row. Nothing was trained.")
    of_features = {"features": job.features, "exclude": job.exclude, "categories": job.categories}
    for setting, names in (of_features | {"prefixes": tuple(job.prefixes)}).items():
        for name in names:
            column_of(everything, name, setting)
    table, target, classes = _with_target(_with_all(everything, job.further_targets), job.target, job.task)
    further = {name: _finite(table, name) for name in job.further_targets}
    objective_of(job, classes)  # refuses what such a target cannot have before a single image is fetched
    weights = read_weights(table, job.weight) if job.weight else None
    times = moments(table, job.time_column) if job.time_column else None
    named = image_table(_images_of(table, job), job.max_images)
    cache = cache_images(named.uris, spec, source, folder, kept)
    if not cache.slots:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in sorted(cache.faults.items()))
        raise InputError(
            f"Not one of {len(named.uris):,} images in {job.listings} can be used ({reasons or 'none is named'})."
            " Nothing was trained: a fused model needs images to learn from."
        )
    slots = np.array([cache.slots.get(uri, -1) for uri in named.uris] + [-1], np.int32)  # [-1] of it: no image
    groups, ties = find_ties(
        table,
        named.index,
        named.uris,
        cache,
        group=job.group,
        lookalikes=job.near_duplicates,
        test_share=job.test_share,
    )
    return Examples(
        table=table,
        partitions=tuple(partition.key for partition in partitions),
        target=target,
        uris=named.uris,
        given=named.index,
        images=slots[named.index],
        cache=cache,
        groups=groups,
        without_target=len(everything) - len(table),
        ties=ties,
        times=times,
        weights=weights,
        classes=classes,
        further=further,
    )


def _read(partitions: list[Partition], store: ObjectStore, time_column: str | None) -> pa.Table:
    tables = [_dated(read_table(partition, store), partition.key, time_column) for partition in partitions]
    try:
        return pa.concat_tables(tables, promote_options="permissive").unify_dictionaries()
    except pa.ArrowException as error:
        raise ContractError(f"The partitions do not agree on their columns: {error}. Nothing was trained.") from None


def _dated(table: pa.Table, key: str, time_column: str | None) -> pa.Table:
    """With the step of the partition's key that says when it was, where the files hold no such column."""
    steps = dict(step.split("=", 1) for step in key.split("/") if step)
    if time_column not in steps or time_column in table.column_names:
        return table
    return table.append_column(time_column, pa.repeat(pa.scalar(steps[time_column]), len(table)))


def _with_all(table: pa.Table, names: tuple[str, ...]) -> pa.Table:
    """The rows that have all of the further targets. Raises ContractError: one of these is no number."""
    for name in names:
        column = column_of(table, name, "further_targets")
        if kind_of(column.type) != "number":
            raise ContractError(f"further_targets: {name!r} is {column.type}; expected a number. Nothing was trained.")
        table = table.filter(column.is_valid())
        if not len(table):
            raise InputError(f"No row has a value in every one of {', '.join(names)}. Nothing was trained.")
    return table


def _with_target(table: pa.Table, name: str, task: str) -> tuple[pa.Table, npt.NDArray[np.float64], tuple[str, ...]]:
    """The rows that have a target, their targets, and what those name, where they are no numbers."""
    column = column_of(table, name, "target")
    if names_classes(column, task):
        table = table.filter(column.is_valid())
        return table, *read_classes(table.column(name), name)
    if kind_of(column.type) != "number":
        raise ContractError(f"The target {name!r} is {column.type}; expected a number. Nothing was trained.")
    table = table.filter(column.is_valid())
    if not len(table):
        raise InputError(f"The target {name!r} is null in every row. Nothing was trained.")
    return table, _finite(table, name), ()


def _finite(table: pa.Table, name: str) -> npt.NDArray[np.float64]:
    """A target without nulls as float64 [n]. Raises ContractError that names the listings whose target is no number."""
    target = floats(table.column(name).combine_chunks())
    if not np.isfinite(target).all():
        bad = [str(listing) for listing in table.column(ID).filter(pa.array(~np.isfinite(target))).to_pylist()]
        raise ContractError(
            f"The target {name!r} is NaN or infinite in {len(bad):,} rows (listing_id {', '.join(bad[:5])})."
            " Nothing was trained. Correct them, or make them null to leave them out."
        )
    return target


def _images_of(table: pa.Table, job: TrainJob) -> pa.Array:
    if IMAGES not in table.column_names:
        raise ContractError(f"The listings in {job.listings} have no column {IMAGES!r}. Nothing was trained.")
    return table.column(IMAGES).combine_chunks()


def column_of(table: pa.Table, name: str, setting: str) -> pa.ChunkedArray:
    """A column that a setting names. Raises SettingsError that lists the columns there are."""
    if table.column_names.count(name) != 1:
        known = ", ".join(sorted(table.column_names))
        raise SettingsError(f"{setting}: the listings have no single column {name!r}. Known: {known}.")
    return table.column(name)
