"""What is to be scored, frozen before the first image is fetched."""

import contextlib
import hashlib
import importlib.util
import secrets
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Literal

from scorer.errors import NotFound, PreconditionFailed, StoreUnreachable
from scorer.intake.ids import Ids
from scorer.intake.partitions import Partition, Unit, cut
from scorer.objectstore import ObjectStore, join
from scorer.output.commit import Seen
from scorer.output.staging import Staging
from scorer.run.check import Checked
from scorer.settings import Job, Settings, Shard

OPTIONAL_DECODERS = ("pillow_heif",)
"""Packages that are there or not, and with them whether a format's images can be used."""

UNIT_BYTES = 1 << 30
"""Embeddings of one unit, at most: units of a bundle whose images are large to keep have fewer rows."""

TRIES = 5
"""To write a plan, or to read the one that is there."""


class Plan(Settings):
    """The units of one partition and everything that a worker must know to score them alike.

    Whoever comes first writes it by a conditional PUT; whoever comes later, on any machine, reads it.
    """

    format: Literal[1] = 1
    digest: str
    """Of files and ETags, bundle, and the settings that can change a score; names the folder of the plan."""
    run_id: str
    partition: str
    created_at: datetime
    bundle_digest: str
    rows: int
    ids_checksum: int
    repeated_ids: tuple[str, ...]
    units: tuple[Unit, ...]
    batch_images: int | None
    """Images per forward pass, as resolved when the plan was made; None: nothing was to be computed then. A start that
    finds something after all measures for itself."""

    @property
    def ids(self) -> Ids:
        """What was found out about the partition's ids."""
        return Ids(self.rows, frozenset(self.repeated_ids), self.ids_checksum)

    def folder(self, partition_state: str) -> str:
        """Where the plan lies, and all that is staged for it."""
        return join(partition_state, self.digest)


def partition_state(job: Job, partition: Partition) -> str:
    """Where the state of a partition lives."""
    return join(job.state_uri, partition.key) if partition.key else job.state_uri


def plan_digest(checked: Checked, job: Job, seen: Seen) -> str:
    """Identity of the work: the same at every start, on every machine that can decode the same formats.

    `--force` on top of something published makes it another one, the same at every start until something is published.
    """
    files = [f"{file.uri} {file.etag} {file.row_groups}" for file in checked.partition.files]
    decoders = [name for name in OPTIONAL_DECODERS if importlib.util.find_spec(name)]
    parts = [checked.partition.key, checked.bundle.digest, job.fingerprint(), repr(checked.contract), *decoders, *files]
    digest = _digest(parts)
    before = seen.record.current
    return f"{digest}-{_digest([before.publisher])[:8]}" if job.force and before is not None else digest


def make_plan(digest: str, checked: Checked, ids: Ids, job: Job, batch_images: int | None) -> Plan:
    """The plan as this process would have it; `freeze` says which one counts."""
    now = datetime.now(UTC)
    return Plan(
        digest=digest,
        run_id=f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}",
        partition=checked.partition.key,
        created_at=now,
        bundle_digest=checked.bundle.digest,
        rows=checked.partition.rows,
        ids_checksum=ids.checksum,
        repeated_ids=tuple(sorted(ids.repeated)),
        units=units_of(checked, job, digest),
        batch_images=batch_images,
    )


def units_of(checked: Checked, job: Job, digest: str) -> tuple[Unit, ...]:
    """The units of a plan: whoever makes it finds the same ones."""
    return cut(checked.partition, checked.bundle.rows_within(UNIT_BYTES, job.rows_per_unit), digest)


def dealt(units: Sequence[Unit], shard: Shard | None) -> tuple[Unit, ...]:
    """The units of one shard, in the order of the plan: largest first they are dealt like cards.

    The plan alone decides, never what is finished by now: two shards that look at different moments would leave units
    to each other. Shares differ by one unit at most, and each goes through the whole partition, so that a corner with
    more images is everybody's.
    """
    if shard is None:
        return tuple(units)
    largest_first = sorted(range(len(units)), key=lambda place: -units[place].rows)
    return tuple(units[place] for place in sorted(largest_first[shard.number :: shard.of]))


def planned(digest: str, partition_state: str, store: ObjectStore) -> Plan | None:
    """The plan that an earlier start froze, if there is one."""
    try:
        return Plan.model_validate_json(store.get(join(partition_state, digest, "plan.json")).data)
    except NotFound:
        return None


def unfinished(
    plan: Plan | None, digest: str, checked: Checked, job: Job, partition_state: str, store: ObjectStore
) -> tuple[Unit, ...]:
    """The units that this job still has to score, of the plan that is there, or of the one that would be made."""
    if plan is None:
        return dealt(units_of(checked, job, digest), job.share)
    finished = Staging(join(plan.folder(partition_state), "units"), plan.run_id, store).finished()
    return tuple(unit for unit in dealt(plan.units, job.share) if unit.id not in finished)


def freeze(plan: Plan, partition_state: str, store: ObjectStore) -> Plan:
    """Write the plan unless there is one already; the one that is there counts."""
    uri = join(plan.folder(partition_state), "plan.json")
    for _ in range(TRIES):
        with contextlib.suppress(PreconditionFailed):
            store.put(uri, plan.model_dump_json().encode(), if_none_match=True)
            return plan
        with contextlib.suppress(NotFound):  # removed between the two requests: an old one, by `scorer gc`
            return Plan.model_validate_json(store.get(uri).data)
    raise StoreUnreachable(f"{uri} comes and goes. Nothing was scored. Start again.")


def _digest(parts: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]
