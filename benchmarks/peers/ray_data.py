"""Ray Data by its documentation's template for batch inference.

Recipe: Ray's guides "Working with images" (a table of URIs: the `download` expression, then `map_batches` with Pillow)
and "Perform inference" (a class in `map_batches`, so that the model is loaded once an actor). Tuning: see TUNING.
"""

import io
import os
from typing import Any

import numpy as np
import ray
from PIL import Image
from ray.data.expressions import download

from benchmarks.peers import loopback
from benchmarks.peers.fused import Model, work

TUNING: dict[int, dict[str, Any]] = {
    64: {
        "batch": 256,
        "decode_batch": 256,
        "actors": 1,
        "actor_cpus": 1,
        "draft": False,
        "blocks": 8,
        "download": False,
        "decode_cpus": 0.9,
        "more_cpus": 0,
    },
    224: {
        "batch": 64,
        "decode_batch": 64,
        "actors": 1,
        "actor_cpus": 1,
        "draft": False,
        "blocks": 8,
        "download": False,
        "decode_cpus": 0.9,
        "more_cpus": 0,
    },
}


class Scorer:
    """The network, loaded once an actor."""

    def __init__(self, path: str) -> None:
        self.model = Model(path)

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """One batch."""
        numbers = np.stack([batch[name] for name in self.model.features], axis=1)
        scaled = self.model.scaler.transform(numbers).astype(np.float32)
        return {"listing_id": batch["listing_id"], "prediction": self.model.score(scaled, batch["pixels"])}


def main() -> None:
    """Score and write."""
    wanted = work(TUNING)
    tuning, size = wanted.tuning, wanted.size

    def decode(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        files = map(io.BytesIO, batch.pop("bytes")) if tuning["download"] else batch["image"]
        batch["pixels"] = np.stack([square(file) for file in files])
        return batch

    def square(file: Any) -> np.ndarray:
        image = Image.open(file)
        if tuning["draft"]:
            image.draft("RGB", (size, size))
        return np.asarray(image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR))

    loopback.bring_up()
    ray.init(
        address="local",  # never a cluster that an earlier run left behind
        num_cpus=len(os.sched_getaffinity(0)) + tuning["more_cpus"],
        include_dashboard=False,
        log_to_driver=False,
        _node_ip_address="127.0.0.1",
    )
    ray.data.DataContext.get_current().enable_progress_bars = False
    rows = ray.data.read_parquet(
        wanted.table, **({"override_num_blocks": tuning["blocks"]} if tuning["blocks"] else {})
    )
    if tuning["download"]:
        rows = rows.with_column("bytes", download("image"))
    rows = rows.map_batches(decode, batch_size=tuning["decode_batch"], num_cpus=tuning["decode_cpus"])
    scores = rows.map_batches(
        Scorer,
        fn_constructor_args=(wanted.model,),
        batch_size=tuning["batch"],
        compute=ray.data.ActorPoolStrategy(size=tuning["actors"]),
        num_cpus=tuning["actor_cpus"],
    )
    scores.write_parquet(wanted.out)
    ray.shutdown()


if __name__ == "__main__":
    main()
