"""The plain Keras way: load_img, StandardScaler, model.predict.

Recipe: keras.io, `load_img` + `img_to_array` with `target_size`, then `Model.predict`. Tried for tuning (images/s and
figures in docs/decisions/benchmarks.md): a loop over chunks that loads, then predicts; and `keras.utils.PyDataset`,
which loads ahead in threads while the model computes. The latter wins and is what runs.
"""

import math

import keras
import numpy as np
import pandas as pd

from benchmarks.peers.fused import Model, first_batch, work

TUNING = {
    64: {"batch": 256, "workers": 2, "queue": 8},
    224: {"batch": 64, "workers": 2, "queue": 8},
}


class Images(keras.utils.PyDataset):
    """Batches of scaled numbers and loaded images."""

    def __init__(self, numbers: np.ndarray, paths: list[str], size: int, batch: int, **loading: int) -> None:
        super().__init__(**loading)
        self.numbers, self.paths, self.size, self.batch = numbers, paths, size, batch

    def __len__(self) -> int:
        return math.ceil(len(self.paths) / self.batch)

    def __getitem__(self, place: int) -> tuple[dict[str, np.ndarray]]:
        rows = slice(place * self.batch, (place + 1) * self.batch)
        target = (self.size, self.size)
        images = [keras.utils.load_img(path, target_size=target) for path in self.paths[rows]]
        pixels = np.stack([np.asarray(image, np.uint8) for image in images])
        return ({"features": self.numbers[rows], "image": pixels},)


def loop(model: Model, images: Images, place: int) -> np.ndarray:
    """Load one batch, then predict it, as in most scripts."""
    (inputs,) = images[place]
    scores = model.network.predict(inputs, batch_size=images.batch, verbose=0)
    first_batch()
    return np.asarray(scores)


def main() -> None:
    """Score and write."""
    wanted = work(TUNING)
    model, tuning = Model(wanted.model), wanted.tuning
    table = pd.read_parquet(wanted.table)
    numbers = model.scaler.transform(table[model.features].to_numpy()).astype(np.float32)
    loading = {"workers": tuning["workers"], "max_queue_size": tuning["queue"]} if tuning["workers"] else {}
    images = Images(numbers, table["image"].tolist(), wanted.size, tuning["batch"], **loading)
    if loading:
        note = keras.callbacks.LambdaCallback(on_predict_batch_end=lambda batch, logs: first_batch())
        table["prediction"] = model.network.predict(images, verbose=0, callbacks=[note])
    else:
        table["prediction"] = np.concatenate([loop(model, images, place) for place in range(len(images))])
    table[["listing_id", "prediction"]].to_parquet(wanted.out)


if __name__ == "__main__":
    main()
