"""One small object a run, so that a hundred runs are listed without reading what they staged.

`STATE/runs/` holds an entry for every run that was published, refused or failed. The record of what readers see is
another one, `published.json`; an entry that is missing is missing from the series of runs and nowhere else.
"""

import secrets
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Literal

from pydantic import Field, ValidationError

from scorer.objectstore import ObjectStore, file_name, join
from scorer.output.gates.verdict import Status
from scorer.output.manifest import BundleRef
from scorer.output.tally import Tally
from scorer.settings import Settings

FOLDER = "runs"

READERS = 16
"""Entries read at a time: 30 round trips to S3 one after the other would take a second and more."""

LONGEST_ERROR = 2000


class Moved(Settings):
    """How far a feature, or the score, was from what it is compared with."""

    psi: float
    """Population stability index over the bins."""
    noise: float
    """What chance alone may reach with so many rows."""


class Entry(Settings):
    """What a series of runs says of one of them."""

    format: Literal[1] = 1
    run_id: str = ""
    """Empty where the run ended before it had a plan."""
    start: str = ""
    partition: str
    outcome: Literal["published", "refused", "failed"]
    exit_code: int = 0
    error: str = ""
    """In its own words, cut."""
    began: datetime
    ended: datetime
    counts: Tally | None = None
    """Without examples. None where the rows were not all scored."""
    images_per_s: float = 0.0
    cpu_ms_per_image: float = 0.0
    cores: int = 0
    units: int = 0
    price_per_hour: float | None = None
    currency: str = ""
    units_done_earlier: int = 0
    bundle: BundleRef | None = None
    gates: dict[str, Status] = Field(default_factory=dict)
    score_mean: float | None = None
    score_deviation: float | None = None
    drift: dict[str, Moved] = Field(default_factory=dict)
    """Feature -> its shift against the training; of those that could be compared."""
    score_shift: Moved | None = None
    """Of the scores, against the training."""
    versions: dict[str, str] = Field(default_factory=dict)
    page: str = ""
    """Where the run's page lies."""

    @property
    def seconds(self) -> float:
        """From begin to end."""
        return (self.ended - self.began).total_seconds()

    @property
    def cost(self) -> float | None:
        """Of the machine over that time; None where no price was given."""
        return None if self.price_per_hour is None else self.price_per_hour * self.seconds / 3600


def write(entry: Entry, state_uri: str, store: ObjectStore) -> str:
    """Add one entry and return its URI."""
    name = f"{entry.ended:%Y%m%dT%H%M%SZ}_{entry.run_id or 'no-plan'}_{entry.start or secrets.token_hex(8)}.json"
    uri = join(state_uri, FOLDER, name)
    store.put(uri, entry.model_dump_json(exclude_defaults=True).encode())
    return uri


def last(state_uri: str, number: int, store: ObjectStore, partition: str | None = None) -> list[Entry]:
    """The last runs, oldest first: of one partition, or of all. An object that is no entry is passed over."""
    names = [info.uri for info in store.list_all(join(state_uri, FOLDER)) if info.uri.endswith(".json")]
    names.sort(key=file_name)
    found: list[Entry] = []
    step = number if partition is None else max(number, 4 * READERS)
    with ThreadPoolExecutor(READERS) as readers:
        while names and len(found) < number:
            names, batch = names[:-step], names[-step:]
            entries = [entry for entry in readers.map(lambda uri: _read(uri, store), batch) if entry is not None]
            found = [*(entry for entry in entries if partition in (None, entry.partition)), *found]
    return found[-number:]


def of_run(state_uri: str, run_id: str, store: ObjectStore) -> list[Entry]:
    """The entries of one run, one for each of its starts, oldest first."""
    infos = store.list_all(join(state_uri, FOLDER))
    uris = sorted((info.uri for info in infos if file_name(info.uri).split("_")[1:2] == [run_id]), key=file_name)
    return [entry for entry in (_read(uri, store) for uri in uris) if entry is not None]


def _read(uri: str, store: ObjectStore) -> Entry | None:
    try:
        return Entry.model_validate_json(store.get(uri).data)
    except ValidationError:
        return None
