"""The published partition that rows are carried forward from."""

import hashlib
import importlib.util
from collections.abc import Callable

from pydantic import ValidationError

from scorer.contracts import built_in
from scorer.errors import InputError, Terminal
from scorer.model.embeddings import tower_digest
from scorer.objectstore import ObjectStore, join
from scorer.output import earlier, predictions
from scorer.output.carried import EarlierRows, read_rows
from scorer.output.commit import Ledger, Version
from scorer.output.manifest import versions
from scorer.run.check import Checked
from scorer.run.plan import OPTIONAL_DECODERS
from scorer.settings import Job

LOOKED_AT = 7
"""Published partitions before today's that are asked for their bundle; two small requests each."""


def context(checked: Checked, job: Job) -> str:
    """Digest of all that a prediction depends on besides its row's features and images; empty: none may be carried.

    Versions take part as they are: after an update every row is scored once more, from embeddings that are kept.
    """
    if job.reuse == "none" or job.embeddings.identity == "content":
        return ""
    bundle = checked.bundle
    parts = [
        bundle.digest,
        tower_digest(bundle, job.images, job.precision, job.embeddings.dtype),
        built_in("predictions").version,
        job.row_fingerprint(),
        job.embeddings.identity,
        *(f"{name} {version}" for name, version in sorted(versions().items())),
        *(name for name in OPTIONAL_DECODERS if importlib.util.find_spec(name)),
    ]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def earlier_rows(checked: Checked, job: Job, store: ObjectStore, say: Callable[[str], None]) -> EarlierRows | None:
    """The rows of the partition that `reuse_from` names, or of the latest earlier one by the same bundle and settings.

    Args:
        checked: today's partition and bundle.
        job: with `reuse: rows`.
        store: where the state is.
        say: is told why there is none, or why one was passed over.
    """
    wanted = context(checked, job)
    schema = predictions.schema(checked.bundle.columns)
    for key in _candidates(checked.partition.key, job, store):
        try:
            version = _current(key, job, store)
            if version.bundle_digest != checked.bundle.digest:
                raise InputError("it was scored by another bundle")
            return read_rows(key, version, wanted, schema, store)
        except (Terminal, ValidationError, ValueError) as error:
            say(f"No row is carried forward from {key or 'the version before'}: {str(error).splitlines()[0]}.")
    return None


def _candidates(own: str, job: Job, store: ObjectStore) -> tuple[str, ...]:
    if job.reuse_from is not None:
        return (job.reuse_from,)
    if not own:  # the only partition there is: what it was before
        return ("",)
    return earlier.all_before(job.state_uri, own, store)[:LOOKED_AT]


def _current(key: str, job: Job, store: ObjectStore) -> Version:
    version = Ledger(join(job.state_uri, key) if key else job.state_uri, key, store).read().record.current
    if version is None:
        raise InputError("it is not published")
    return version
