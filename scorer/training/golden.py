"""Eight listings with their scores, kept in the bundle: whoever loads it scores them again and must get the same."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from scorer.model.bundle import GoldenRow
from scorer.model.preprocessing import Feature, Mask, as_text, floats, plain
from scorer.model.readout import Readout, read_out
from scorer.training.examples import Examples
from scorer.training.fitted import FittedNet
from scorer.training.images import Source
from scorer.training.split import Rows

GOLDEN_ROWS = 8

PLAIN = Readout()


def golden_rows(fitted: FittedNet, source: Source, seed: int, readout: Readout = PLAIN) -> tuple[GoldenRow, ...]:
    """Varied rows, the last of them with its images taken away, scored by Keras as one batch.

    Args:
        fitted: the model, before its head was frozen.
        source: where the images' bytes come from.
        seed: of the rows that fill up.
        readout: how the outputs are read.

    Raises:
        InputChanged: an image is no longer the one that was trained on.
        StoreUnreachable: the store does not give an image out again.
    """
    examples, prepared = fitted.data.examples, fitted.prepared
    rows = choose_rows(examples.images, prepared.gaps, examples.target, seed)
    images = examples.images[rows]
    images[-1] = -1
    raw = fitted.outputs_of(prepared.features[rows], images)
    scores = read_out(readout, fitted.targets, raw).scores
    table = examples.table.take(pa.array(rows))
    columns = {feature.name: _raw(feature, table.column(feature.name)) for feature in prepared.preprocessing.features}
    return tuple(
        GoldenRow(
            features={name: values[place] for name, values in columns.items()},
            images=_files(examples, row, images[place], source),
            pixel_digests=(),
            scores={name: float(values[place]) for name, values in scores.items()},
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
    """The values as JSON knows them, whole numbers that are categories as text; None where the number is no number."""
    values = column.combine_chunks()
    if feature.kind == "category":
        return list(as_text(values).to_pylist())
    if feature.kind == "boolean":
        return list(plain(values).to_pylist())
    return [float(value) if np.isfinite(value) else None for value in floats(values)]
