"""The model as every peer calls it, and the command line that they share. Needs nothing of ours."""

import argparse
import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import numpy.typing as npt
from sklearn.preprocessing import StandardScaler

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Work:
    """What a peer is told.

    Attributes:
        table: Parquet file with listing_id, the features, and `image`, the path of its only image.
        model: Keras file; the scaler lies beside it.
        size: side of the square that the model takes.
        out: folder or file to write listing_id and prediction to, as Parquet.
        tuning: values of the recipe that differ between models.
    """

    table: str
    model: str
    size: int
    out: str
    tuning: dict[str, Any]


def work(defaults: dict[int, dict[str, Any]]) -> Work:
    """From the command line; `defaults` holds the tuning by size, `--tune NAME=VALUE` tries another value."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--table", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--tune", action="append", default=[])
    options = parser.parse_args()
    tried = dict(text.split("=", 1) for text in options.tune)
    tuning = defaults[options.size] | {name: json.loads(value) for name, value in tried.items()}
    return Work(options.table, options.model, options.size, options.out, tuning)


class Model:
    """Scaler and network."""

    def __init__(self, path: str) -> None:
        import keras

        self.network = keras.models.load_model(path, compile=False)
        self.features, self.scaler = scaler(path)

    def score(self, numbers: Floats, pixels: Pixels) -> npt.NDArray[np.float64]:
        """Scaled numbers [n, F], uint8 [n, S, S, 3] -> float64 [n]; one batch, by Keras's compiled function."""
        scores = np.asarray(self.network.predict_on_batch({"features": numbers, "image": pixels}), np.float64)
        first_batch()
        return scores


def first_batch() -> None:
    """Leave a note of the time, if nobody did before."""
    note = os.environ.get("BENCH_FIRST_BATCH")
    if note:
        with suppress(FileExistsError), open(note, "x") as file:
            file.write(str(time.monotonic()))


def scaler(path: str) -> tuple[list[str], StandardScaler]:
    """Names of the features, and the fitted scaler that belongs to a model."""
    fitted = json.loads(Path(path).with_name("scaler.json").read_text())
    made = StandardScaler()
    made.mean_, made.scale_ = (np.array([pair[k] for pair in fitted.values()]) for k in (0, 1))
    made.var_, made.n_features_in_ = made.scale_**2, len(fitted)
    return list(fitted), made
