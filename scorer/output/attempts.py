"""How often a unit was begun and not finished, so that whoever starts again knows.

Each start of a run keeps one small object, written anew when it begins a unit: the units in its hands, and those that
it gave up. A start that is killed leaves it as it is. Units that are finished by now do not matter: nobody asks.
"""

import json
import threading
from collections import Counter

from scorer.objectstore import ObjectStore, file_name, join

LAST = 3
"""From the third attempt on a unit's images are decoded in processes of their own, and what still cannot be fetched
degrades its row."""


class Attempts:
    """The attempts of one plan: those of earlier starts, and this start's own. Thread-safe."""

    def __init__(self, folder: str, start: str, store: ObjectStore) -> None:
        """`folder` belongs to one plan alone, `start` is the token of this start."""
        self._folder, self._store = folder, store
        self._uri = join(folder, f"{start}.json")
        self._in_hand: set[str] = set()
        self._given_up: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._closed = False

    def unfinished(self) -> Counter[str]:
        """Unit -> times that it was begun and neither finished nor is in the hands of this start."""
        found = Counter(self._given_up)
        for info in self._store.list_all(self._folder):
            if file_name(info.uri) != file_name(self._uri):
                found.update(json.loads(self._store.get(info.uri).data)["begun"])
        return found

    def begin(self, unit_id: str) -> None:
        """Say that a unit is in hand, before anything of it is read. One small PUT."""
        with self._lock:
            if not self._closed:
                self._in_hand.add(unit_id)
                self._write()

    def finish(self, unit_id: str) -> None:
        """The unit is staged. Not written at once: it is found finished anyway."""
        with self._lock:
            self._in_hand.discard(unit_id)

    def give_up(self, unit_id: str) -> None:
        """This attempt failed; there may be another one."""
        with self._lock:
            self._in_hand.discard(unit_id)
            self._given_up[unit_id] += 1

    def forgive(self) -> None:
        """What is in hand is dropped through no fault of its own (a signal): it does not count."""
        with self._lock:
            self._closed = True
            self._in_hand.clear()
            self._write()

    def _write(self) -> None:
        begun = self._given_up + Counter(self._in_hand)
        self._store.put(self._uri, json.dumps({"format": 1, "begun": dict(sorted(begun.items()))}).encode())
