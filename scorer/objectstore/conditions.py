"""Does a store keep its word on conditional writes? All that is published rests on it, so it is tried before a run."""

import secrets
import threading

from scorer.errors import NotFound, PreconditionFailed, SettingsError, StoreUnreachable, Terminal
from scorer.objectstore.places import ObjectInfo, join, parse
from scorer.objectstore.store import ObjectStore

PROOFS = 3
"""Tries: where the answer to a write was lost, its repetition finds the condition broken, by itself."""

_proved: set[str] = set()
_lock = threading.Lock()


def trusted(store: ObjectStore, state: str, single_writer: bool) -> ObjectStore:
    """The store, if it refuses conditional writes whose condition does not hold; tried once a process and place.

    Args:
        store: as it is.
        state: where plans and records are kept.
        single_writer: the user's word that nobody else publishes there at the same time; then conditions are checked
            here, just before each write.

    Raises:
        SettingsError: the store ignores conditions, and there may be other writers.
    """
    if parse(state).bucket is None:
        return store
    if single_writer:
        return SingleWriterStore(store.concurrency)
    with _lock:
        if state not in _proved:
            _prove_again(store, state)
            _proved.add(state)
    return store


def _prove_again(store: ObjectStore, state: str) -> None:
    refusal = ""
    for _ in range(PROOFS):
        try:
            _prove(store, join(state, f"probe-{secrets.token_hex(8)}"))
        except PreconditionFailed as error:
            refusal = str(error)
        else:
            return
    raise _no_conditions(state, f"it refused {PROOFS} times what it should have written. {refusal}")


def _prove(store: ObjectStore, scratch: str) -> None:
    """Two conditional writes that must succeed, and two that must not."""
    try:
        etag = store.put(scratch, b"1", if_none_match=True)
        _insist_on_refusal(store, scratch, etag=None)
        store.put(scratch, b"2", if_match=etag)
        _insist_on_refusal(store, scratch, etag=etag)
    except (PreconditionFailed, StoreUnreachable):
        raise
    except Terminal as error:
        raise _no_conditions(scratch.rpartition("/")[0], str(error)) from None
    finally:
        store.delete([scratch])


def _insist_on_refusal(store: ObjectStore, scratch: str, etag: str | None) -> None:
    try:
        store.put(scratch, b"3", if_none_match=etag is None, if_match=etag)
    except PreconditionFailed:
        return
    raise _no_conditions(scratch.rpartition("/")[0], "it wrote an object although the condition did not hold.")


def _no_conditions(state: str, why: str) -> SettingsError:
    return SettingsError(
        f"The store of {state} does not keep conditional writes (If-None-Match, If-Match): {why}"
        " Two runs at once could publish over each other there. Nothing was scored. Keep the state in a store that has"
        " them, or set single_writer: true if only one run publishes at a time."
    )


class SingleWriterStore(ObjectStore):
    """Conditions checked here and not by the store: right as long as nobody else writes at the same time."""

    def put(self, uri: str, data: bytes, *, if_none_match: bool = False, if_match: str | None = None) -> str:
        """See ObjectStore."""
        self._check(uri, if_none_match, if_match)
        return super().put(uri, data)

    def copy(self, source: str, target: str, *, if_none_match: bool = False, if_match: str | None = None) -> ObjectInfo:
        """See ObjectStore."""
        self._check(target, if_none_match, if_match)
        return super().copy(source, target)

    def __reduce__(self) -> tuple[type[ObjectStore], tuple[int]]:
        return (SingleWriterStore, (self.concurrency,))

    def _check(self, uri: str, if_none_match: bool, if_match: str | None) -> None:
        try:
            found = self.head(uri).etag
        except NotFound:
            found = None
        if (if_none_match and found is not None) or (if_match is not None and found != if_match):
            raise PreconditionFailed(f"{uri} is not the version that was asked for.")
