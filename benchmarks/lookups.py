"""Ten million embeddings of 256 float16, and a million keys looked up in them: seconds, and anonymous memory.

    python -m benchmarks.lookups                      # 5.4 GB of disk, removed afterwards
    python -m benchmarks.lookups --rows 1000000

The store is written by the product's own functions, in files as eleven nights would leave them. It is looked up in a
process of its own as a run does: first whether they are known, for the plan, then their values; unit by unit, 16,384
keys at a time, three quarters of them known. Three kinds of partition: one whose images came together (one of several
that share the store), one of which a twentieth is new every night, so that the known lie among 200 nights, fewer among
the older, and one whose images are spread over the whole store, the worst. Each twice: with nothing of the store in the
page cache, and again.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks import report
from scorer.model.embeddings import EmbeddingStore
from scorer.model.embeddings import store as writing
from scorer.objectstore import ObjectStore
from scorer.settings import Embeddings

HERE = Path(__file__).parent
SIZE = 256
TOWER = "0" * 32
AT_ONCE = 16_384
KINDS = ("together", "turnover", "spread")
TIMES = ("first", "again")
NIGHTS = 200
TURNOVER = 0.05
SETTINGS = Embeddings(dtype="float16", max_gb=1000.0)


def keys_of(first: int, number: int) -> "np.ndarray[tuple[int, int], np.dtype[np.uint64]]":
    """Keys that look like hashes, the same at every call."""
    return _mixed(np.arange(first, first + number, dtype=np.uint64))


def _mixed(value: "np.ndarray[tuple[int], np.dtype[np.uint64]]") -> "np.ndarray[tuple[int, int], np.dtype[np.uint64]]":
    with np.errstate(over="ignore"):
        halves = []
        for seed in (0x9E3779B97F4A7C15, 0xD1B54A32D192ED03):
            mixed = (value + np.uint64(1)) * np.uint64(seed)
            mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            halves.append(mixed ^ (mixed >> np.uint64(27)))
    return np.stack(halves, axis=1)


def write(folder: Path, rows: int) -> None:
    """One large file and ten of a fiftieth each."""
    random = np.random.default_rng(0)
    values = random.normal(size=(200_000, SIZE)).astype(np.float32)
    sizes = [rows - 10 * (rows // 50), *[rows // 50] * 10]
    first = 0
    for size in sizes:
        writing.FLUSH_ROWS = size + 1  # one file
        store = _store(folder)
        for start in range(0, size, len(values)):
            number = min(len(values), size - start)
            store.keep(keys_of(first + start, number), values[:number])
        store.flush()
        first += size


def places_of(kind: str, rows: int, sought: int) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """What a partition asks for, as places among the rows in the order in which they came; beyond `rows`: unknown.

    In the order in which the listings stand in their table, which says nothing of when an image came.
    """
    random = np.random.default_rng(1)
    unknown = rows + np.arange(sought // 4)
    number = sought - len(unknown)
    if kind == "together":
        known = rows // 3 + np.arange(number)
    elif kind == "turnover":
        per_night = rows // NIGHTS
        ages = np.arange(NIGHTS)
        share = np.exp(-TURNOVER * ages)
        counts = np.minimum(per_night, (number * share / share.sum()).astype(int))
        nights = [rows - (age + 1) * per_night + random.permutation(per_night)[: counts[age]] for age in ages]
        known = np.concatenate(nights)
    else:
        known = random.permutation(rows)[:number]
    return random.permutation(np.concatenate([known, unknown])).astype(np.int64)


def look_up(folder: Path, rows: int, sought: int, kind: str) -> dict[str, float]:
    """Seconds and memory of this process."""
    places = places_of(kind, rows, sought)
    sought = len(places)
    keys = _mixed(places.astype(np.uint64))
    del places
    before = most = _anonymous()
    began = time.perf_counter()
    store = _store(folder)
    store.open()
    opened = time.perf_counter() - began
    for start in range(0, sought, AT_ONCE):
        store.knows(keys[start : start + AT_ONCE])
    planned = time.perf_counter() - began
    found = 0
    for start in range(0, sought, AT_ONCE):
        known, _ = store.take(keys[start : start + AT_ONCE])
        found += int(known.sum())
        most = max(most, _anonymous())
    return {
        "rows": store.rows,
        "sought": sought,
        "found": found,
        "open_s": round(opened, 3),
        "planned_s": round(planned, 3),
        "seconds": round(time.perf_counter() - began, 3),
        "anonymous_mib": round(most / 2**20, 1),
        "anonymous_before_mib": round(before / 2**20, 1),
    }


def _store(folder: Path) -> EmbeddingStore:
    return EmbeddingStore(str(folder), TOWER, SIZE, SETTINGS, ObjectStore(), lambda text: print(text, file=sys.stderr))


def _forget(folder: Path) -> None:
    """Have the page cache let go of the store."""
    for path in folder.rglob("*.arrow"):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(handle)


def _anonymous() -> int:
    """Bytes of anonymous memory of this process, as the kernel counts them."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("This kernel does not tell RssAnon.")


def main(arguments: Sequence[str]) -> None:
    """Write, look up, remove."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lookups", description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--work", type=Path, default=HERE / ".work" / "lookups")
    parser.add_argument("--look-up", choices=KINDS, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.look_up:
        print(json.dumps(look_up(options.work, options.rows, options.keys, options.look_up)))
        return
    try:
        began = time.perf_counter()
        write(options.work, options.rows)
        size = sum(path.stat().st_size for path in options.work.rglob("*.arrow"))
        print(f"written {size / 1e9:.2f} GB in {time.perf_counter() - began:.0f} s", file=sys.stderr)
        command = [sys.executable, "-m", "benchmarks.lookups", "--work", str(options.work)]
        command += ["--rows", str(options.rows), "--keys", str(options.keys), "--look-up"]
        found = {}
        for kind in KINDS:
            _forget(options.work)
            printed = (subprocess.run([*command, kind], check=True, stdout=subprocess.PIPE).stdout for _ in TIMES)
            found[kind] = dict(zip(TIMES, map(json.loads, printed), strict=True))
        print(report.alone({"gb": round(size / 1e9, 2), **found}))
    finally:
        shutil.rmtree(options.work, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1:])
