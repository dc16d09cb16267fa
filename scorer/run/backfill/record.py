"""Since when a backfill of everything has been under way, so that the same command goes on after an interruption.

Only `--only all` needs it: what else is to be scored follows from what is published.
"""

import hashlib
import json
from datetime import UTC, datetime

from scorer.errors import NotFound
from scorer.objectstore import ObjectStore, join
from scorer.run.backfill.dates import Range
from scorer.settings import Job


def begun(job: Job, within: Range, bundle_digest: str, store: ObjectStore) -> datetime | None:
    """When this very backfill began, if it has not ended."""
    try:
        return datetime.fromisoformat(json.loads(store.get(_uri(job, within, bundle_digest)).data)["began"])
    except NotFound:
        return None


def begin(job: Job, within: Range, bundle_digest: str, store: ObjectStore) -> None:
    """Note that it begins now, unless it has begun already."""
    if begun(job, within, bundle_digest, store) is None:
        text = json.dumps({"format": 1, "began": datetime.now(UTC).isoformat()})
        store.put(_uri(job, within, bundle_digest), text.encode())


def end(job: Job, within: Range, bundle_digest: str, store: ObjectStore) -> None:
    """Every partition had its turn: the same command starts from the beginning again."""
    store.delete([_uri(job, within, bundle_digest)])


def _uri(job: Job, within: Range, bundle_digest: str) -> str:
    parts = (job.listings, within.key, within.low, within.high, bundle_digest, job.fingerprint())
    name = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]
    return join(job.state_uri, "backfills", f"{name}.json")
