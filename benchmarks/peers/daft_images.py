"""Daft with its own image expressions and a class UDF.

Recipe: Daft's guides "Working with images" (download, decode_image, resize) and "Batch inference" (a class whose batch
method holds the model). Tried for tuning: see TUNING's comments.
"""

import daft
import numpy as np
from daft import DataType, Series, col
from daft.functions import decode_image, download, resize

from benchmarks.peers.fused import Model, scaler, work

TUNING = {
    64: {"batch": 256, "process": False, "concurrency": 1, "morsel": 0},
    224: {"batch": 64, "process": False, "concurrency": 1, "morsel": 0},
}


def main() -> None:
    """Score and write."""
    wanted = work(TUNING)
    tuning = wanted.tuning

    @daft.cls(use_process=tuning["process"], max_concurrency=tuning["concurrency"])
    class Scorer:
        """The network, loaded once a worker."""

        def __init__(self, path: str) -> None:
            self.model = Model(path)

        @daft.method.batch(return_dtype=DataType.float64(), batch_size=tuning["batch"])
        def score(self, image: Series, *numbers: Series) -> Series:
            """One batch."""
            flat = image.to_arrow().storage.flatten().to_numpy()  # to_pylist and stack would copy every image twice
            pixels = flat.reshape(len(image), wanted.size, wanted.size, 3)
            columns = np.stack([column.to_arrow().to_numpy() for column in numbers], axis=1)
            scaled = self.model.scaler.transform(columns).astype(np.float32)
            return Series.from_numpy(self.model.score(scaled, pixels))

    if tuning["morsel"]:
        daft.set_execution_config(default_morsel_size=tuning["morsel"])
    features, _ = scaler(wanted.model)
    scorer = Scorer(wanted.model)
    pixels = resize(decode_image(download(col("image"))), wanted.size, wanted.size)
    frame = daft.read_parquet(wanted.table).with_column(
        "pixels", pixels.cast(DataType.image("RGB", wanted.size, wanted.size))
    )
    frame = frame.with_column("prediction", scorer.score(col("pixels"), *(col(name) for name in features)))
    frame.select("listing_id", "prediction").write_parquet(wanted.out)


if __name__ == "__main__":
    main()
