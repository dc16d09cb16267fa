"""The peers: who they are, and one whole run of each in an environment of their own."""

import os
import shutil
import subprocess
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks import tables, watch
from benchmarks.watch import Sample
from benchmarks.workload import CHECKOUT, Workload

PEERS_PYTHON = CHECKOUT / "benchmarks" / ".venv-peers" / "bin" / "python"


@dataclass(frozen=True)
class Peer:
    """One way to do the same work with other tools.

    Attributes:
        script: module below benchmarks.peers.
        small: n by model; 4n is the large run.
        tree: starts further processes.
        namespace: binds to loopback only inside a network namespace of its own.
        tune: NAME=JSON, in place of the recipe's own values.
    """

    script: str
    small: Mapping[str, int]
    tree: bool = True
    namespace: bool = False
    tune: tuple[str, ...] = ()


PEERS: dict[str, Peer] = {
    "keras": Peer("keras_way", {"64": 4096, "224": 768}, tree=False),
    "keras_loop": Peer("keras_way", {"64": 2048}, tree=False, tune=("workers=0",)),
    "ray": Peer("ray_data", {"64": 1536, "224": 512}, namespace=True),
    "daft": Peer("daft_images", {"64": 2048, "224": 512}),
    "spark": Peer("spark_udf", {"64": 1536, "224": 512}),
}
"""keras_loop loads, then predicts, then loads: what most people write, beside keras, which loads while it predicts."""


@dataclass(frozen=True)
class PeerRunner:
    """Runs of one peer with one model.

    Attributes:
        peer: who.
        workload: images and tables.
        model: Keras file.
        size: side of its square.
        most_images: distinct images.
        tune: further NAME=JSON.
        python: of the environment that the peer runs in.
        outs: what each run wrote: Parquet of listing_id and prediction.
    """

    peer: Peer
    workload: Workload
    model: Path
    size: int
    most_images: int
    tune: tuple[str, ...] = ()
    python: Path = PEERS_PYTHON
    outs: list[Path] = field(default_factory=list)

    def run(self, rows: int) -> Sample:
        """Score so many listings into a place of its own.

        Raises:
            watch.Failed: it ended with an error.
            RuntimeError: it did not score every listing once.
        """
        folder = self.workload.runs / f"{self.peer.script}-{uuid.uuid4().hex[:8]}"
        table = self.workload.listings(rows, self.most_images) / tables.KEY / "listings.parquet"
        command = [*(namespace() if self.peer.namespace else ()), str(self.python), "-m"]
        command += [f"benchmarks.peers.{self.peer.script}", "--table", str(table), "--model", str(self.model)]
        command += ["--size", str(self.size), "--out", str(folder / "out")]
        for value in (*self.peer.tune, *self.tune):
            command += ["--tune", value]
        sample = watch.run(command, folder / "log", environment=_environment(folder), tree=self.peer.tree)
        self._check(folder / "out", rows)
        self.outs.append(folder / "out")
        first = folder / "first-batch"  # monotonic clock, as the watcher's
        return replace(sample, first_batch_s=float(first.read_text()) - sample.started) if first.exists() else sample

    def _check(self, out: Path, rows: int) -> None:
        scores = read_scores(out)
        distinct = pc.count_distinct(scores["listing_id"]).as_py()
        finite = pc.sum(pc.is_finite(scores["prediction"])).as_py()
        if (scores.num_rows, distinct, finite) != (rows, rows, rows):
            raise RuntimeError(f"{out}: {scores.num_rows:,} rows, {distinct:,} ids, {finite:,} scores for {rows:,}.")


def read_scores(out: Path) -> pa.Table:
    """listing_id and prediction, from a file or a folder of files."""
    scores = pq.read_table(out, columns=["listing_id", "prediction"])
    return scores.cast(pa.schema({"listing_id": pa.string(), "prediction": pa.float64()}))


def apart(ours: Path, theirs: Path) -> dict[str, float]:
    """How far two contestants' scores of the same listings lie apart: the pixels differ, the work must not.

    Returns:
        `mean` difference in standard deviations of our scores, and `correlation` of the two.
    """
    both = read_scores(ours).join(read_scores(theirs), "listing_id", join_type="inner", right_suffix="_theirs")
    here, there = (both[name].to_numpy() for name in ("prediction", "prediction_theirs"))
    return {
        "mean": float(np.abs(here - there).mean() / here.std()),
        "correlation": float(np.corrcoef(here, there)[0, 1]),
    }


def available(name: str) -> str:
    """Empty, or why a peer cannot run here."""
    if not PEERS_PYTHON.exists():
        return "benchmarks/.venv-peers is not there; `make bench` sets it up"
    if name == "spark" and not shutil.which("java"):
        return "Spark needs Java 17 or later"
    return ""


def _environment(folder: Path) -> dict[str, str]:
    """Nothing is written to the home folder, nothing is sent anywhere."""
    folder.mkdir(parents=True)
    return {
        "BENCH_FIRST_BATCH": str(folder / "first-batch"),
        "HOME": str(folder),
        "PYTHONPATH": str(CHECKOUT),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "RAY_AUTH_MODE": "disabled",
        "RAY_USAGE_STATS_ENABLED": "0",
        "DAFT_ANALYTICS_ENABLED": "0",
        "DO_NOT_TRACK": "1",
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_LOCAL_DIRS": str(folder),
    }


@cache
def namespace() -> tuple[str, ...]:
    """The prefix of a command that gets a network namespace of its own; empty where the kernel does not allow it."""
    command = ("unshare", "--net") if os.geteuid() == 0 else ("unshare", "--map-root-user", "--net")
    try:
        subprocess.run([*command, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return ()
    return command
