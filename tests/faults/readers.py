"""Readers that poll while runs replace each other, and write down every version that is not whole."""

import io
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from scorer.errors import NotFound
from scorer.objectstore import ObjectStore, join

PAUSE_S = 0.003
MAX_WRONG = 20


@dataclass
class Observations:
    """What one reader saw.

    Attributes:
        polls: looks at the partition.
        empty: looks before the first version was there.
        versions: run ids in the order in which they were seen.
        wrong: what must never be seen.
        mixed: versions not whole that a reader by listing may see where a version is several files.
    """

    polls: int = 0
    empty: int = 0
    versions: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    mixed: int = 0


@dataclass(frozen=True)
class Expected:
    """The rows that every whole version has."""

    predictions: tuple[str | None, ...]
    quarantine: tuple[str | None, ...]


class Readers:
    """Three kinds of reader over one partition, each in a thread of its own."""

    def __init__(self, root: str, key: str, expected: Expected, several: bool = False) -> None:
        """`several`: versions are several files, which no listing shows at once."""
        self._root, self._key, self._expected, self._several = root, key, expected, several
        self._store = ObjectStore()
        self.seen = {name: Observations() for name in ("record", "listing", "symlink")}
        self._stopped = threading.Event()

    @contextmanager
    def polling(self) -> Iterator[None]:
        """They poll until the block ends."""
        looks: dict[str, Callable[[], dict[str, list[pa.Table]] | None]] = {
            "record": self._by_record,
            "listing": self._by_listing,
            "symlink": self._by_symlink,
        }
        threads = [threading.Thread(target=self._poll, args=item, daemon=True) for item in looks.items()]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stopped.set()
            for thread in threads:
                thread.join(30)

    def _poll(self, name: str, look: Callable[[], dict[str, list[pa.Table]] | None]) -> None:
        seen = self.seen[name]
        while not self._stopped.is_set() and len(seen.wrong) < MAX_WRONG:
            seen.polls += 1
            try:
                found = look()
            except NotFound as error:
                if self._several and name == "listing":  # a part of the larger version, gone between LIST and GET
                    seen.mixed += 1
                else:
                    seen.wrong.append(f"NotFound: {error}")
                continue
            except Exception as error:
                seen.wrong.append(f"{type(error).__name__}: {error}")
                continue
            if found is None:
                seen.empty += 1
                if seen.versions:
                    seen.wrong.append("the partition was gone")
            elif self._several and name == "listing":
                whole = Observations()
                self._judge(whole, found)
                seen.mixed += bool(whole.wrong)
            else:
                self._judge(seen, found)
            time.sleep(PAUSE_S)

    def _judge(self, seen: Observations, found: dict[str, list[pa.Table]]) -> None:
        for kind, tables in found.items():
            table = pa.concat_tables(tables)
            ids, runs = table.column("listing_id").to_pylist(), set(table.column("run_id").to_pylist())
            wanted = list(getattr(self._expected, kind))
            if ids != wanted:
                counts = Counter(ids)
                double = [key for key, count in counts.items() if count > Counter(wanted)[key]]
                missing = [key for key in wanted if key not in counts]
                seen.wrong.append(f"{kind}: {len(ids)} rows, double {double[:3]}, missing {missing[:3]}, {runs}")
            elif len(runs) != 1:
                seen.wrong.append(f"{kind}: a mixture of {runs}")
            elif kind == "predictions" and [*runs] != seen.versions[-1:]:
                seen.versions.extend(runs)

    def _by_record(self) -> dict[str, list[pa.Table]] | None:
        try:
            record = json.loads(
                self._store.get(join(self._root, "predictions.scorer", self._key, "published.json")).data
            )
        except NotFound:
            return None
        if not record["versions"]:
            return None
        current = record["versions"][-1]
        return {kind: self._tables([file["uri"] for file in current[kind]]) for kind in ("predictions", "quarantine")}

    def _by_listing(self) -> dict[str, list[pa.Table]] | None:
        """One kind only: predictions and quarantine may be of different versions for a moment."""
        uris = [info.uri for info in self._store.list_all(join(self._root, "predictions", self._key))]
        return {"predictions": self._tables(uris)} if uris else None

    def _by_symlink(self) -> dict[str, list[pa.Table]] | None:
        place = join(self._root, "predictions.scorer", "symlinks", "predictions", self._key, "manifest")
        try:
            lines = self._store.get(place).data.decode().splitlines()
        except NotFound:
            return None
        return {"predictions": self._tables([unquote(line) for line in lines])}

    def _tables(self, uris: Sequence[str]) -> list[pa.Table]:
        """Each object in one request, checksums verified."""
        return [pq.read_table(io.BytesIO(self._store.get(uri).data), page_checksum_verification=True) for uri in uris]
