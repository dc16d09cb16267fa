"""Spark's predict_batch_udf.

Recipe: the reference of `pyspark.ml.functions.predict_batch_udf`: a function that loads the model and gives back
another that predicts a batch of numpy arrays; scalar columns put together by `array`. Tuning: see TUNING.
"""

import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from pyspark.ml.functions import predict_batch_udf
from pyspark.sql import SparkSession
from pyspark.sql.functions import array
from pyspark.sql.types import DoubleType

from benchmarks.peers.fused import scaler, work

os.environ["PYSPARK_PYTHON"] = sys.executable  # the workers run what the driver runs

TUNING: dict[int, dict[str, Any]] = {
    64: {"batch": 256, "cores": 2, "arrow": 1024, "draft": False, "partitions": 0},
    224: {"batch": 64, "cores": 2, "arrow": 1024, "draft": False, "partitions": 0},
}


def loader(path: str, size: int, draft: bool) -> Callable[[], Callable[..., np.ndarray]]:
    """What an executor's Python worker calls once."""

    def make_predict() -> Callable[..., np.ndarray]:
        from PIL import Image

        from benchmarks.peers.fused import Model

        model = Model(path)

        def square(name: str) -> np.ndarray:
            image = Image.open(name)
            if draft:
                image.draft("RGB", (size, size))
            return np.asarray(image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR))

        def predict(names: np.ndarray, numbers: np.ndarray) -> np.ndarray:
            pixels = np.stack([square(name) for name in names])
            return model.score(model.scaler.transform(numbers).astype(np.float32), pixels)

        return predict

    return make_predict


def main() -> None:
    """Score and write."""
    wanted = work(TUNING)
    tuning = wanted.tuning
    features, _ = scaler(wanted.model)
    spark = (
        SparkSession.builder.master(f"local[{tuning['cores']}]")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.execution.arrow.maxRecordsPerBatch", tuning["arrow"])
        .config("spark.executorEnv.PYTHONPATH", os.getcwd())
        .getOrCreate()
    )
    score = predict_batch_udf(
        loader(wanted.model, wanted.size, tuning["draft"]),
        return_type=DoubleType(),
        batch_size=tuning["batch"],
        input_tensor_shapes=[None, [len(features)]],
    )
    rows = spark.read.parquet(wanted.table)
    if tuning["partitions"]:
        rows = rows.repartition(tuning["partitions"])
    scored = rows.select("listing_id", score("image", array(*features)).alias("prediction"))
    scored.write.parquet(wanted.out)
    spark.stop()


if __name__ == "__main__":
    main()
