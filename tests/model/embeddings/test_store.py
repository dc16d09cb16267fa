"""The store of embeddings gives back what was put in, or nothing."""

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scorer.model.embeddings import EmbeddingStore, block, merging
from scorer.model.embeddings.block import Block, checksums, made
from scorer.model.embeddings.cache import LocalCopies
from scorer.model.embeddings.index import Index
from scorer.objectstore import ObjectStore, join
from scorer.settings import Embeddings
from tests.conftest import Bucket

SIZE = 6
TOWER = "a" * 32


def some(number: int, seed: int = 0) -> tuple[Any, Any]:
    random = np.random.default_rng(seed)
    keys = random.integers(0, 2**64, (number, 2), dtype=np.uint64)
    return keys, random.normal(size=(number, SIZE)).astype(np.float32)


class Said(list[str]):
    """What was warned of."""

    def __call__(self, text: str) -> None:
        self.append(text)


def opened(
    uri: str, said: Said | None = None, tower: str = TOWER, files: ObjectStore | None = None, **changes: Any
) -> EmbeddingStore:
    said = Said() if said is None else said
    found = EmbeddingStore(uri, tower, SIZE, Embeddings(**changes), files or ObjectStore(), said)
    found.open()
    return found


def put(uri: str, keys: Any, values: Any, **changes: Any) -> None:
    store = opened(uri, **changes)
    store.keep(keys, values)
    store.close()


@pytest.fixture(params=["local", "bucket"])
def uri(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    if request.param == "local":
        return str(tmp_path / "embeddings")
    found: Bucket = request.getfixturevalue("bucket")
    return join(found.uri, "embeddings")


def test_what_was_kept_is_found_and_nothing_else(uri: str) -> None:
    keys, values = some(500)
    put(uri, keys[:300], values[:300])
    put(uri, keys[300:400], values[300:400])
    store = opened(uri)
    assert store.knows(keys).tolist() == [True] * 400 + [False] * 100
    known, found = store.take(keys[::-1].copy())
    assert known.tolist() == [False] * 100 + [True] * 400
    assert (found[known] == values[:400][::-1]).all()
    assert (store.recall(keys[7].tobytes()) == values[7]).all()
    assert store.recall(keys[450].tobytes()) is None


def test_a_half_of_a_key_is_not_enough(tmp_path: Path) -> None:
    keys, values = some(50)
    put(str(tmp_path), keys, values)
    other = keys.copy()
    other[:, 1] ^= np.uint64(1)
    assert not opened(str(tmp_path)).take(other)[0].any()


def test_a_store_in_a_bucket_is_copied_once(bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri, cache = join(bucket.uri, "embeddings"), str(tmp_path / "cache")
    keys, values = some(50)
    put(uri, keys, values)
    loads: list[str] = []
    download = ObjectStore.download

    def counted(self: ObjectStore, uri: str, path: Path) -> None:
        loads.append(uri)
        download(self, uri, path)

    monkeypatch.setattr(ObjectStore, "download", counted)
    for _ in range(2):
        assert opened(uri, cache=cache).take(keys)[0].all()
    assert len(loads) == 1
    ObjectStore().delete(loads)
    (copy,) = (path for path in Path(cache).rglob("*") if path.is_file())
    opened(uri, cache=cache)
    assert copy.is_file(), "another process may just have listed it"
    os.utime(copy, (0, time.time() - 25 * 3600))
    opened(uri, cache=cache)
    assert not copy.exists()


def test_two_processes_that_copy_at_once_leave_each_others_files_alone(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri, cache = join(bucket.uri, "embeddings"), str(tmp_path / "cache")
    keys, values = some(50)
    put(uri, keys, values)
    download = ObjectStore.download

    def disturbed(self: ObjectStore, uri_of_file: str, path: Path) -> None:
        download(self, uri_of_file, path)
        LocalCopies(uri, TOWER, cache, ObjectStore()).forget_all_but([])  # its listing was older than the file

    monkeypatch.setattr(ObjectStore, "download", disturbed)
    said = Said()
    assert opened(uri, said, cache=cache).take(keys)[0].all()
    assert not said


def test_a_block_of_which_much_is_wanted_is_read_ahead_as_a_whole_and_of_another_single_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scorer.model.embeddings.block.ROWS_PER_BLOCK", 10_000)
    keys, values = some(20_000)
    put(str(tmp_path), keys, values)
    (file,) = tmp_path.rglob("*.arrow")
    read: list[bytes] = []
    advise = os.posix_fadvise

    def noted(handle: int, start: int, length: int, advice: int) -> None:
        assert advice == os.POSIX_FADV_WILLNEED
        read.append(file.read_bytes()[start : start + length])
        advise(handle, start, length, advice)

    monkeypatch.setattr(os, "posix_fadvise", noted)
    store = opened(str(tmp_path))
    assert store.knows(keys[9_998:10_001]).all()
    assert read == []
    store.knows(keys[100:1_000])
    assert read == [values[:10_000].tobytes()], "as soon as so much of it is wanted"
    store.knows(keys[[10_700, 10_300]])
    assert store.take(keys[:1])[0].all()
    assert read[1:] == [values[row].tobytes() for row in (10_000, 10_300, 10_700)], "in the order in which they lie"
    store.knows(keys)
    assert read[4:] == [values[10_000:].tobytes()], "and later, if more is wanted"
    assert store.take(keys)[0].all()
    assert len(read) == 5


def test_what_came_together_lies_together_also_when_files_were_merged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A night asks for one partition, and the disk reads pages, not rows."""
    monkeypatch.setattr("scorer.model.embeddings.merging.ROWS_PER_BLOCK", 300)
    keys, values = some(2_000)
    ends = np.cumsum([150, 50] * 10)  # a merge takes the small ones first, and must not put them first
    for start, end in zip([0, *ends], ends, strict=False):
        put(str(tmp_path), keys[start:end], values[start:end])
    largest = max(tmp_path.rglob("*.arrow"), key=lambda path: path.stat().st_size)
    blocks = block.read(largest, SIZE, "float32", TOWER)
    assert [len(rows) for rows in blocks[:-1]] == [300] * (len(blocks) - 1)
    assert len(blocks) > 2
    lying = np.concatenate([rows.values for rows in blocks])
    assert (lying == values[: len(lying)]).all()
    assert min(tmp_path.rglob("*.arrow")) == largest, "and comes first when files are merged again"


def test_float16_is_rounded_at_once_so_that_a_fresh_embedding_scores_like_a_stored_one(tmp_path: Path) -> None:
    keys, values = some(50)
    values[3, 0], values[4, 0] = 1e5, np.nan  # beyond float16; not finite
    put(str(tmp_path), keys, values, dtype="float16")
    store = opened(str(tmp_path), dtype="float16")
    known, found = store.take(keys)
    assert known.tolist() == [n not in (3, 4) for n in range(50)]
    rounded = store.rounded(values)
    assert (found[known] == rounded[known]).all()
    assert (rounded[3] == values[3]).all()
    assert np.abs(rounded[known] - values[known]).max() <= 2**-11 * np.abs(values[known]).max()


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(0, 7))
def test_one_flipped_bit_anywhere_costs_time_and_never_gives_another_value(
    tmp_path_factory: pytest.TempPathFactory, byte: int, bit: int
) -> None:
    place = tmp_path_factory.mktemp("store")
    keys, values = some(40)
    put(str(place), keys, values)
    (file,) = place.rglob("*.arrow")
    data = bytearray(file.read_bytes())
    data[byte % len(data)] ^= 1 << bit
    file.write_bytes(data)
    known, found = opened(str(place)).take(keys)
    assert (found[known] == values[known]).all()
    assert (found[~known] == 0).all()


def test_an_embedding_that_is_damaged_in_one_file_is_taken_from_another(tmp_path: Path) -> None:
    keys, values = some(40)
    put(str(tmp_path), keys, values)
    (file,) = tmp_path.rglob("*.arrow")
    store = opened(str(tmp_path))
    whole = file.read_bytes()
    damaged = bytearray(whole)
    damaged[whole.index(values[7].tobytes())] ^= 1
    for name in ("0" * 32, "f" * 32):  # before and after it
        file.with_name(f"{name}.arrow").write_bytes(damaged)
    assert store.take(keys)[0].all()
    said = Said()
    known, found = opened(str(tmp_path), said).take(keys)
    assert known.all()
    assert (found == values).all()
    assert len(said) == 1


@pytest.mark.parametrize("length", [0, 1, 7, 100, 1000, -1, -9, -400])
def test_a_torn_file_is_ignored_and_said(tmp_path: Path, length: int) -> None:
    keys, values = some(40)
    put(str(tmp_path), keys, values)
    (file,) = tmp_path.rglob("*.arrow")
    file.write_bytes(file.read_bytes()[:length])
    said = Said()
    assert not opened(str(tmp_path), said).take(keys)[0].any()
    assert len(said) == 1
    assert "is not used" in said[0]


def test_foreign_files_are_ignored_and_said(tmp_path: Path) -> None:
    folder = tmp_path / TOWER
    folder.mkdir()
    (folder / "note.txt").write_text("hello")
    (folder / "a.arrow").write_bytes(b"ARROW1\0\0 but not really")
    table = pa.table({"key_high": [1]})
    with pa.OSFile(str(folder / "b.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    other = tmp_path / "other"
    put(str(other), *some(5), tower="b" * 32)
    (file,) = other.rglob("*.arrow")
    file.rename(folder / "c.arrow")
    said = Said()
    assert opened(str(tmp_path), said).rows == 0
    assert len([text for text in said if "is not used" in text]) == 3


def test_a_store_of_other_towers_is_not_used_and_said(tmp_path: Path) -> None:
    put(str(tmp_path), *some(5), tower="b" * 32)
    said = Said()
    assert opened(str(tmp_path), said).rows == 0
    assert ["none of them is this one" in text for text in said] == [True]


def test_a_store_that_cannot_be_written_is_said_once_and_raises_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    said = Said()
    store = opened(str(tmp_path / "file" / "store"), said)
    store.keep(*some(5))
    store.flush()
    store.keep(*some(5))
    store.close()
    assert ["cannot be written" in text for text in said] == [True]


def test_many_files_become_few_and_nothing_is_lost(tmp_path: Path) -> None:
    uri = str(tmp_path)
    keys, values = some(1000)
    for night in range(40):
        part = slice(night * 25, night * 25 + 25)
        put(uri, keys[part], values[part])
        put(uri, keys[:10], values[:10])  # what another job has added, too
    files = [info for info in ObjectStore().list_all(uri) if info.uri.endswith(".arrow")]
    assert len(files) <= merging.MOST_FILES + 2
    known, found = opened(uri).take(keys)
    assert known.all()
    assert (found == values).all()


def test_beyond_its_limit_the_store_keeps_what_was_asked_for_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys, values = some(4000)
    with monkeypatch.context() as yesterday:
        yesterday.setattr("scorer.model.embeddings.store._today", lambda: 20_000)
        put(str(tmp_path), keys[:2000], values[:2000])
        put(str(tmp_path), keys[2000:], values[2000:])
    limit = 0.1e-3  # GB: some 1,500 rows at 80 percent
    store = opened(str(tmp_path), max_gb=limit)
    wanted = keys[np.arange(0, 4000, 4)]
    assert store.knows(wanted).all()
    store.close()
    assert sum(path.stat().st_size for path in tmp_path.rglob("*.arrow")) <= limit * 1e9
    left = opened(str(tmp_path), max_gb=limit)
    assert left.take(wanted)[0].all()
    assert 1000 <= left.take(keys)[0].sum() < 4000


def test_towers_that_nobody_used_for_long_are_removed_by_the_stores_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os
    import time

    for tower in ("b" * 32, "c" * 32):
        put(str(tmp_path), *some(5), tower=tower)
    for path in (tmp_path / ("b" * 32)).iterdir():
        os.utime(path, (time.time() - 31 * 86_400,) * 2)
    put(str(tmp_path), *some(5))
    assert sorted(path.name[0] for path in tmp_path.iterdir()) == ["a", "b", "c"]
    assert not list((tmp_path / ("b" * 32)).iterdir())
    assert len(list((tmp_path / ("c" * 32)).iterdir())) == 2


def test_several_jobs_that_write_and_merge_at_once_lose_nothing(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    keys, values = some(2000)

    def job(number: int) -> None:
        for night in range(10):
            part = slice(number * 500 + night * 50, number * 500 + night * 50 + 50)
            put(str(tmp_path), keys[part], values[part])

    with ThreadPoolExecutor(4) as jobs:
        list(jobs.map(job, range(4)))
    known, found = opened(str(tmp_path)).take(keys)
    assert known.all()
    assert (found == values).all()


def test_a_file_that_another_job_merged_away_meanwhile_is_computed_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys, values = some(20)
    put(str(tmp_path), keys, values)
    list_all = ObjectStore.list_all

    def listed(self: ObjectStore, prefix: str) -> Any:
        found = list_all(self, prefix)
        for path in tmp_path.rglob("*.arrow"):
            path.unlink()
        return found

    monkeypatch.setattr(ObjectStore, "list_all", listed)
    said = Said()
    assert not opened(str(tmp_path), said).take(keys)[0].any()
    assert len(said) == 1


def block_of(keys: Any) -> Block:
    return made(
        keys[:, 0].copy(), keys[:, 1].copy(), np.zeros((len(keys), 1), np.float32), np.zeros(len(keys), np.uint32)
    )


@settings(max_examples=50)
@given(st.lists(st.integers(0, 5), max_size=60), st.lists(st.integers(0, 6), max_size=40), st.integers(1, 5))
def test_a_look_up_never_gives_a_row_of_another_key(stored: list[int], sought: list[int], blocks: int) -> None:
    """Few different halves, so that they coincide."""
    stored_keys = np.array([[n % 3, n] for n in stored], np.uint64).reshape(-1, 2)
    sought_keys = np.array([[n % 3, n] for n in sought], np.uint64).reshape(-1, 2)
    parts = [block_of(part) for part in np.array_split(stored_keys, blocks)]
    where, row = Index.of(parts).look_up(sought_keys)
    found = {tuple(key) for key, number in zip(sought_keys.tolist(), where.tolist(), strict=True) if number >= 0}
    firsts = {high: (high, low) for high, low in reversed(stored_keys.tolist())}
    assert found == set(firsts.values()) & {tuple(key) for key in sought_keys.tolist()}
    for (high, low), number, at in zip(sought_keys.tolist(), where.tolist(), row.tolist(), strict=True):
        if number >= 0:
            assert (int(parts[number].high[at]), int(parts[number].low[at])) == (high, low)


def test_the_checksum_covers_the_key_and_every_value() -> None:
    keys, values = some(1)
    whole = checksums(keys[:, 0], keys[:, 1], values)
    assert checksums(keys[:, 0] + np.uint64(1), keys[:, 1], values) != whole
    assert checksums(keys[:, 0], keys[:, 1] + np.uint64(1), values) != whole
    for place in range(SIZE):
        other = values.copy()
        other[0, place] += 1e-3
        assert checksums(keys[:, 0], keys[:, 1], other) != whole
