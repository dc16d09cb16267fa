"""Eight listings with their scores, kept in the bundle: whoever loads it scores them again and must get the same."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from scorer.model.bundle import GoldenRow
from scorer.model.fused import OUTPUT
from scorer.model.preprocessing import Feature, Mask, floats, plain
from scorer.training.examples import Examples
from scorer.training.fit import predict
from scorer.training.images import Source
from scorer.training.prepare import Prepared
from scorer.training.split import Rows

GOLDEN_ROWS = 8


def golden_rows(data: Prepared, whole: keras.Model, source: Source, seed: int) -> tuple[GoldenRow, ...]:
    """Varied rows, the last of them with its images taken away, scored by Keras's predict as one batch.

    Args:
        data: what the model was trained with.
        whole: the trained model, before it was cut and frozen.
        source: where the images' bytes come from.
        seed: of the rows that fill up.

    Raises:
        InputChanged: an image is no longer the one that was trained on.
    """
    rows = choose_rows(data.inputs.images, data.gaps, data.examples.target, seed)
    images = data.inputs.images[rows]
    images[-1] = -1
    inputs = replace(data.inputs, features=data.inputs.features[rows], images=images)
    scores = data.target.inverse(predict(whole, inputs, np.arange(len(rows)), len(rows)))
    table = data.examples.table.take(pa.array(rows))
    columns = {feature.name: _raw(feature, table.column(feature.name)) for feature in data.preprocessing.features}
    return tuple(
        GoldenRow(
            features={name: values[place] for name, values in columns.items()},
            images=_files(data.examples, row, images[place], source),
            pixel_digests=(),
            scores={OUTPUT: float(scores[place])},
        )
        for place, row in enumerate(rows)
    )


def choose_rows(
    images: npt.NDArray[np.int32], gaps: dict[str, Mask], target: npt.NDArray[np.float64], seed: int
) -> Rows:
    """Eight rows, if there are as many: most and fewest images, each kind of gap, both ends of the target.

    Args:
        images: int32 [n, K], -1 where there is none.
        gaps: bool [n] by reason.
        target: float64 [n].
        seed: of the rows that fill up.
    """
    counts = (images >= 0).sum(axis=1)
    wanted = [int(counts.argmax()), int(counts.argmin())]
    wanted += [int(mask.argmax()) for mask in gaps.values() if mask.any()]
    wanted += [int(target.argmin()), int(target.argmax())]
    wanted += np.random.default_rng(seed).permutation(len(target)).tolist()
    return np.array(list(dict.fromkeys(wanted))[:GOLDEN_ROWS], np.int64)


def _files(examples: Examples, row: int, slots: npt.NDArray[np.int32], source: Source) -> tuple[bytes, ...]:
    uris = [examples.uris[place] for place, slot in zip(examples.given[row], slots, strict=True) if slot >= 0]
    return tuple(examples.cache.bytes_of(uri, source) for uri in uris)


def _raw(feature: Feature, column: pa.ChunkedArray) -> Sequence[Any]:
    """The values as JSON knows them; None where the number is no number."""
    values = plain(column.combine_chunks())
    if feature.kind != "number":
        return list(values.to_pylist())
    return [float(value) if np.isfinite(value) else None for value in floats(values)]
