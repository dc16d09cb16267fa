"""Three nights of one marketplace: from scratch, then with what changed in a day, then without any change.

    python -m benchmarks.nights                       # 40,000 listings local, 10,000 in S3 twice, four images each
    python -m benchmarks.nights --places local --listings 4000

Every image is distinct (a JPEG comment makes it so). On the second night 5 % of the images have other bytes, 10 % of
the listings other features, and 2 % of the listings are new, with images of their own. In S3 this is done twice: images
keep their names when their bytes change, and are known by their ETags; or other bytes have another name, and nobody
has to be asked (`embeddings.identity: uri`).

Rates are listings over the seconds of the run without its start-up (imports, TensorFlow, the bundle's graphs and golden
rows, measuring the batch size), which stands beside them; so does the time in which the store was asked what its images
are (LIST, or stat of local files). What is written to standard output is JSON; `make bench-nights` keeps it.
"""

import argparse
import json
import shutil
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import photographs, report, tables, watch
from benchmarks.__main__ import HERE, serving
from benchmarks.gateway import BUCKET, Gateway
from benchmarks.ours import ENVIRONMENT
from benchmarks.workload import Workload, say

IMAGES = 4
CHANGED_IMAGES, CHANGED_FEATURES, NEW = 0.05, 0.10, 0.02
NIGHTS = ("cold", "changed", "unchanged")
START_UP = ("load TensorFlow", "load the bundle", "measure the batch size")
ASKING = "identify images"
LISTINGS = {"local": 40_000, "s3": 10_000, "s3-names": 10_000}
SEED = 3


@dataclass(frozen=True)
class Night:
    """What one night took.

    Attributes:
        rows: listings.
        carried: of them, carried forward.
        fetched: distinct images fetched.
        known: distinct images that were not.
        working_s: of the run, without start-up.
        asking_s: of these, spent on asking the store for its images' identities.
        start_up_s: of the process, all that is not `working_s`.
        others_cores: what else the machine was busy with.
    """

    night: str
    rows: int
    carried: int
    fetched: int
    known: int
    working_s: float
    asking_s: float
    start_up_s: float
    others_cores: float

    @property
    def rate(self) -> float:
        """Listings a second."""
        return self.rows / self.working_s

    @property
    def rate_without_asking(self) -> float:
        """Listings a second of the rest."""
        return self.rows / max(self.working_s - self.asking_s, 1e-3)


@dataclass
class Place:
    """Where the three nights happen.

    Attributes:
        folder: for what is kept locally.
        bundle: the model.
        server: of the images; None: local files.
        put: writes files, by key.
        root: what keys are below.
        renames: an image whose bytes change gets another name.
    """

    folder: Path
    bundle: Path
    server: Gateway | None
    put: Callable[[dict[str, bytes]], None]
    root: str
    renames: bool = False

    def score(self, number: int, settings: Sequence[str]) -> Night:
        """One night as a process of its own."""
        key = _key(number)
        command = [sys.executable, "-m", "jobs.score", "--listings", f"{self.root}/listings", "--partition", key]
        command += ["--bundle", str(self.bundle), "--predictions", f"{self.root}/predictions", "--reuse", "rows"]
        command += ["--state", f"{self.root}/state"]
        single = ("single_writer=true",) if self.server else ()
        names = ("embeddings.identity=uri",) if self.renames else ()
        for setting in (*settings, *single, *names, "gates.enforce=false", f"embeddings.cache={self.folder}/cache"):
            command += ["--set", setting]
        environment = {**ENVIRONMENT, **(self.server.environment if self.server else {})}
        sample = watch.run(command, self.folder / f"log-{number}", environment=environment, timeout_s=1800)
        return _night(NIGHTS[number], json.loads(self._manifest(key)), sample)

    def _manifest(self, key: str) -> bytes:
        if self.server is not None:
            return self.server.read(f"{self.root.partition(BUCKET)[2].strip('/')}/state/{key}/", "/manifest.json")
        (path,) = Path(self.root, "state", key).rglob("manifest.json")
        return path.read_bytes()


def _key(number: int) -> str:
    return f"ds=2026-11-{24 + number}"


def _night(name: str, manifest: dict[str, Any], sample: watch.Sample) -> Night:
    stages, counts = manifest["stages"], manifest["counts"]
    start_up = sum(stages[stage]["wall_s"] for stage in START_UP if stage in stages)
    # The manifest is written before the publish; what came after it counts as start-up of some 0.2 s.
    working = manifest["seconds"] - start_up
    return Night(
        night=name,
        rows=counts["rows_in"],
        carried=counts["rows_carried"],
        fetched=counts["images_read"],
        known=counts["images_known"],
        working_s=round(working, 3),
        asking_s=round(stages.get(ASKING, {"wall_s": 0.0})["wall_s"], 3),
        start_up_s=round(sample.wall_s - working, 2),
        others_cores=round(sample.others_cpu_s / sample.wall_s, 2),
    )


def _places(names: Sequence[str], workload: Workload, bundle: Path) -> Iterator[tuple[str, Place]]:
    for name in names:
        folder = workload.folder / f"nights-{uuid.uuid4().hex[:8]}"
        try:
            if name == "local":
                folder.mkdir(parents=True)

                def put(files: dict[str, bytes], folder: Path = folder) -> None:
                    for key, data in files.items():
                        path = folder / key
                        path.parent.mkdir(parents=True, exist_ok=True)
                        path.write_bytes(data)

                yield name, Place(folder, bundle, None, put, str(folder))
            else:
                with serving(workload) as server:
                    folder.mkdir(parents=True)
                    root = uuid.uuid4().hex[:8]
                    upload, renames = _uploader(server, folder, root), name == "s3-names"
                    yield name, Place(folder, bundle, server, upload, f"s3://{BUCKET}/{root}", renames)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _uploader(server: Gateway, folder: Path, root: str) -> Callable[[dict[str, bytes]], None]:
    def put(files: dict[str, bytes]) -> None:
        paths = {}
        for number, (key, data) in enumerate(files.items()):
            paths[f"{root}/{key}"] = folder / f"upload-{number}"
            paths[f"{root}/{key}"].write_bytes(data)
        server.upload(paths)
        for path in paths.values():
            path.unlink()

    return put


def three_nights(place: Place, rows: int, originals: Sequence[bytes], settings: Sequence[str]) -> list[Night]:
    """Make and score them, one after the other."""
    random = np.random.default_rng(SEED)
    features = tables.features(2 * rows, SEED)
    number, found, new = 0, [], int(rows * NEW)
    renamed = np.zeros((rows + new) * IMAGES, np.bool_)

    def write(images: Sequence[int]) -> None:
        nonlocal number
        for start in range(0, len(images), 1000):
            files = {}
            for image in images[start : start + 1000]:
                key = f"listings/{_image(image, renamed[image])}"
                files[key] = photographs.distinct(originals, len(originals) + number)
                number += 1
            place.put(files)

    say(f"writing {rows * IMAGES:,} images")
    write(range(rows * IMAGES))
    ids = np.arange(rows)
    for night, name in enumerate(NIGHTS):
        if name == "changed":
            changed = np.sort(random.choice(rows * IMAGES, int(rows * IMAGES * CHANGED_IMAGES), replace=False))
            renamed[changed] = place.renames
            write([int(image) for image in changed])
            write(range(rows * IMAGES, (rows + new) * IMAGES))
            other = random.choice(rows, int(rows * CHANGED_FEATURES), replace=False)
            features["days_listed"][other] += 1.0
            ids = np.concatenate([random.permutation(rows)[: rows - new], np.arange(rows, rows + new)])
        place.put({f"listings/{_key(night)}/a.parquet": _table(ids, features, renamed)})
        found.append(place.score(night, settings))
        say(str(found[-1]))
    return found


def _image(number: int, renamed: bool) -> str:
    """Where it lies; in folders of 4,000, since the tests' S3 server reads a folder whole for every page of a LIST."""
    return f"images/{number // 4000:04}/{number:07}{'-b' if renamed else ''}.jpg"


def _table(
    ids: "np.ndarray[Any, np.dtype[np.int64]]", features: dict[str, Any], renamed: "np.ndarray[Any, np.dtype[np.bool_]]"
) -> bytes:
    uris = [
        [_image(image, renamed[image]) for image in range(one * IMAGES, (one + 1) * IMAGES)] for one in ids.tolist()
    ]
    columns = {name: values[ids] for name, values in features.items()}
    table = pa.table({"listing_id": [f"listing-{one:07}" for one in ids.tolist()], **columns, "image_uris": uris})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return bytes(sink.getvalue().to_pybytes())


def show(found: dict[str, list[Night]]) -> str:
    """For people."""
    heads = "place     night      listings  carried  fetched    known  working s  asking s  listings/s  times cold"
    lines = [f"{heads}  start-up s"]
    for name, nights in found.items():
        cold = nights[0]
        for night in nights:
            without = night.rate_without_asking / cold.rate_without_asking
            lines.append(
                f"{name:9} {night.night:10} {night.rows:8,} {night.carried:8,} {night.fetched:8,} {night.known:8,}"
                f" {night.working_s:10.2f} {night.asking_s:9.2f} {night.rate:11,.0f} {night.rate / cold.rate:11.1f}"
                f" {night.start_up_s:11.1f}"
                + (f"   ({without:.1f} times without asking)" if night.night != "cold" else "")
            )
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> None:
    """Three nights in each place."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.nights", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--places", type=lambda text: text.split(","), default=[*LISTINGS], help=",".join(LISTINGS))
    parser.add_argument("--listings", type=int, help="instead of 40,000 and 10,000")
    parser.add_argument("--set", action="append", default=[], help="a setting of the job, NAME=VALUE; may be repeated")
    parser.add_argument("--work", type=Path, default=HERE / ".work", help="where images and models are kept")
    options = parser.parse_args(arguments)
    workload = Workload.at(options.work)
    bundle, _ = workload.model("64")
    originals = photographs.originals(256)
    found = {
        name: three_nights(place, options.listings or LISTINGS[name], originals, options.set)
        for name, place in _places(options.places, workload, bundle)
    }
    print(show(found), file=sys.stderr)
    print(report.alone({name: [asdict(night) for night in nights] for name, nights in found.items()}))


if __name__ == "__main__":
    main(sys.argv[1:])
