"""One score, taken apart: what each image and each feature did to it. Publishes nothing, writes nothing."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from scorer.errors import ImageFault, InputError, NothingToDo
from scorer.intake.fetch import Fetcher, ImagePlaces
from scorer.intake.ids import read_ids
from scorer.intake.isolation import IsolatedDecoder
from scorer.intake.pixels import decode_image
from scorer.intake.rows import ID, IMAGES, image_lists, scan
from scorer.model.bundle import Bundle
from scorer.model.preprocessing import kind_of, plain, segment_text
from scorer.model.readout import MAIN
from scorer.model.tensorflow_alone import tensorflow_alone
from scorer.objectstore import ObjectStore
from scorer.output.quarantine import Refusals
from scorer.run.check import Checked, check
from scorer.run.explanation import Explanation, FeatureEffect, ImageEffect
from scorer.settings import Job

if TYPE_CHECKING:
    from scorer.model.predictor import Predictor

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Images:
    """The listing's images: those that can be used, in order, and what is wrong with the others."""

    uris: tuple[str, ...]
    pixels: Pixels
    slots: tuple[int | None, ...]
    reasons: tuple[str, ...]


def explain(job: Job, listing_id: str, store: ObjectStore) -> Explanation:
    """Score one listing as a run would, and again with each of its images and features taken away.

    Args:
        job: listings, partition, bundle, limits; its predictions and state are not touched.
        listing_id: which one.
        store: where all is.

    Raises:
        NothingToDo: no such partition, or no such listing in it.
        InputError: a run would refuse the row; the message says why.
        SettingsError, ContractError, BundleError, StoreUnreachable: as a run.
    """
    checked = check(job, store)
    row = _row(listing_id, checked, store)
    images = _load(image_lists(row.column(IMAGES))[0], checked, job, store)
    with tensorflow_alone():
        from scorer.model.predictor import Predictor

    features = checked.bundle.preprocessing.names
    predictor = Predictor(checked.bundle, batch_images=32, batch_rows=_rows_at_once(images, features))
    return _Asked(checked, row, images, predictor).answer(listing_id)


class _Asked:
    """The listing and its variants, before one model."""

    def __init__(self, checked: Checked, row: pa.RecordBatch, images: _Images, predictor: "Predictor") -> None:
        self._checked, self._bundle, self._row, self._images = checked, checked.bundle, row, images
        self._predictor = predictor
        self._embeddings = predictor.embed(images.pixels)
        self._index = np.array([slot for slot in images.slots if slot is not None], np.int32)

    def answer(self, listing_id: str) -> Explanation:
        """Everything at once."""
        bundle, readout = self._bundle, self._bundle.readout
        matrix, gaps = bundle.preprocessing.transform(self._row)
        segments = {name: segment_text(self._row.column(name)).to_pylist() for name in self._predictor.segment_columns}
        index = self._index[None] if len(self._index) else np.full((1, 1), -1, np.int32)
        told = self._predictor.tell(matrix, self._embeddings, index, segments)
        chosen = None if told.chosen is None else int(told.chosen[0])
        on = MAIN if readout.task != "multiclass" or chosen is None else bundle.outputs[chosen]
        score, effect = float(told.scores[on][0]), told.image_effect
        there = bool(np.isfinite(score))
        low, high = (_finite(end[0]) for end in told.ends.get(MAIN, (np.array([np.nan]), np.array([np.nan]))))
        intervals = readout.intervals.get(MAIN)
        of_segment = segments[intervals.by][0] if intervals and intervals.by else None
        band = intervals.band(of_segment, bool(len(self._index))) if intervals else None
        names = _reasons(gaps, self._images, there)
        return Explanation(
            listing_id=listing_id,
            partition=str(self._checked.partition),
            bundle_name=bundle.name,
            bundle_version=bundle.version,
            prediction=_finite(told.scores[MAIN][0]),
            prediction_class=None if chosen is None or not there else readout.classes[chosen],
            probabilities=_probabilities(bundle, {name: float(values[0]) for name, values in told.scores.items()}),
            low=low,
            high=high,
            level=intervals.level if intervals and low is not None else None,
            seen=f"{band.group}: {band.seen}" if band and low is not None else "",
            image_effect=_finite(effect[0]) if effect is not None else None,
            effects_on="prediction"
            if chosen is None
            else f"probability of {readout.classes[1 if readout.task == 'binary' else chosen]}",
            reasons=names,
            images=tuple(self._image_effects(matrix, on, score)) if there else (),
            features=tuple(self._feature_effects(index, on, score)) if there else (),
        )

    def _image_effects(self, matrix: npt.NDArray[np.float32], on: str, score: float) -> Iterator[ImageEffect]:
        used = len(self._index)
        without = np.full((used, max(1, used)), -1, np.int32)
        for place in range(used):
            without[place, : used - 1] = np.delete(self._index, place)
        scores = self._predictor.heads(matrix.repeat(used, axis=0), self._embeddings, without)[on] if used else ()
        left = iter(scores)
        for uri, slot, reason in zip(self._images.uris, self._images.slots, self._images.reasons, strict=True):
            yield ImageEffect(uri, None if slot is None else _finite(score - float(next(left))), reason)

    def _feature_effects(self, index: npt.NDArray[np.int32], on: str, score: float) -> list[FeatureEffect]:
        names = self._bundle.preprocessing.names
        if not names:
            return []
        typical = {name: _typical(self._bundle.profile, name, self._row.column(name)) for name in names}
        rows = [self._row.set_column(self._row.schema.get_field_index(name), name, typical[name]) for name in names]
        matrix = np.concatenate([self._bundle.preprocessing.transform(row)[0] for row in rows])
        scores = self._predictor.heads(matrix, self._embeddings, index.repeat(len(names), axis=0))[on]
        found = [
            FeatureEffect(name, _shown(self._row.column(name)), _shown(typical[name]), score - float(other))
            for name, other in zip(names, scores, strict=True)
        ]
        return sorted(found, key=lambda one: (-abs(one.effect), one.name))


def _row(listing_id: str, checked: Checked, store: ObjectStore) -> pa.RecordBatch:
    """The listing's one row."""
    found = []
    for _, _, batch in scan(checked.partition, list(checked.columns), store):
        ids = pc.cast(plain(batch.column(ID)), pa.string())
        here = batch.filter(pc.fill_null(pc.equal(ids, listing_id), False))
        found += [here] if here.num_rows else []
    if not found:
        raise NothingToDo(f"{checked.partition} has no listing {listing_id!r}. Nothing was scored.")
    row = pa.concat_batches(found) if len(found) > 1 else found[0]
    verdicts = Refusals(read_ids(checked.partition, store).repeated, checked.contract).verdicts(row)
    if verdicts:
        reason, detail = verdicts[0]
        raise InputError(f"A run would quarantine listing {listing_id!r}: {reason} ({detail}). Nothing was scored.")
    return row


def _load(uris: Sequence[str], checked: Checked, job: Job, store: ObjectStore) -> _Images:
    """Fetch and decode, as a run does, one by one."""
    bundle, limits = checked.bundle, job.images
    places = ImagePlaces.of(checked.partition.base, job.sources)
    pixels: list[Pixels] = []
    slots: list[int | None] = []
    reasons: list[str] = []
    with (
        Fetcher(store, limits, 1) as fetcher,
        IsolatedDecoder(bundle.pixels, limits, 1) as isolated,
    ):
        for place, uri in enumerate(uris):
            if place >= bundle.max_images:
                slots.append(None)
                reasons.append(f"beyond the first {bundle.max_images}")
                continue
            out = np.empty((bundle.pixels.size, bundle.pixels.size, 3), np.uint8)
            try:
                decode_image(fetcher.get(places.resolve(uri)), bundle.pixels, limits, out, isolated.decode)
            except ImageFault as fault:
                slots.append(None)
                reasons.append(fault.reason)
            else:
                slots.append(len(pixels))
                reasons.append("")
                pixels.append(out)
    size = bundle.pixels.size
    stacked = np.stack(pixels) if pixels else np.empty((0, size, size, 3), np.uint8)
    return _Images(tuple(uris), stacked, tuple(slots), tuple(reasons))


def _typical(profile: Mapping[str, Any], name: str, column: pa.Array) -> pa.Array:
    """The training's median, or its most frequent value, in the column's own type; null where the profile tells none.

    A bundle is a stranger's: what its profile says in another form is as good as not said.
    """
    kind = plain(column).type
    entry = profile.get("features", {}).get(name) if isinstance(profile.get("features"), dict) else None
    value: Any = None
    if isinstance(entry, dict):
        quantiles, top = entry.get("quantiles"), entry.get("top")
        if kind_of(kind) == "number" and isinstance(quantiles, dict):
            value = quantiles.get("0.5")
        elif isinstance(top, dict) and top:
            value = max(top, key=lambda text: top[text] if _number(top[text]) else 0.0)
    try:
        text = pa.array([None if value is None else str(value)], pa.string())
        if kind_of(kind) == "number":
            return pc.cast(text, pa.float64())
        return pc.cast(pc.utf8_lower(text), pa.bool_()) if pa.types.is_boolean(kind) else text
    except pa.ArrowException:
        return pa.nulls(1, kind)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _probabilities(bundle: Bundle, scores: Mapping[str, float]) -> dict[str, float]:
    classes = bundle.readout.classes
    if bundle.readout.task == "binary":
        return {classes[0]: 1 - scores[MAIN], classes[1]: scores[MAIN]}
    return {name: scores[output] for name, output in zip(classes, bundle.outputs, strict=False)} if classes else {}


def _reasons(gaps: Mapping[str, npt.NDArray[np.bool_]], images: _Images, there: bool) -> tuple[str, ...]:
    found = {name for name, rows in gaps.items() if rows[0]}
    found |= {reason for reason in images.reasons if reason.startswith("image_")}
    found |= set() if images.uris else {"no_images"}
    return tuple(sorted(found | (set() if there else {"prediction_not_finite"})))


def _rows_at_once(images: _Images, features: Sequence[str]) -> int:
    """The variants of one listing in one pass."""
    return max(2, len(images.pixels), len(features))


def _shown(column: pa.Array) -> str | None:
    value = column[0].as_py()
    return None if value is None else str(value)


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
