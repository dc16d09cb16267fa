"""Which published partitions a run is compared with: found by one LIST, read by two GETs each."""

import re
from datetime import date, timedelta

from scorer.objectstore import ObjectStore, canonical, join
from scorer.output.commit import Ledger, Version
from scorer.output.gates.facts import Earlier
from scorer.output.manifest import RunManifest

WEEK = timedelta(days=7)


def neighbours(state: str, partition: str, store: ObjectStore) -> tuple[str, ...]:
    """The published partitions that a night is like: the latest one before it, and the one seven days before.

    The symlink manifests are listed for it: one object a published partition, whatever else the state holds.

    Args:
        state: of all partitions.
        partition: its Hive steps; only the last one differs among neighbours.
        store: where the state is.

    Returns:
        Their keys, each once; never its own.
    """
    parent, _, own = partition.rpartition("/")
    steps = _published_steps(state, partition, store)
    before = sorted((step for step in steps if _order(step) < _order(own)), key=_order)
    wanted = [step for step in (*before[-1:], _week_before(own)) if step in steps]
    return tuple(f"{parent}/{step}" if parent else step for step in dict.fromkeys(wanted))


def all_before(state: str, partition: str, store: ObjectStore) -> tuple[str, ...]:
    """The published partitions that come before one, the latest first. Arguments as of `neighbours`."""
    parent, _, own = partition.rpartition("/")
    steps = [step for step in _published_steps(state, partition, store) if _order(step) < _order(own)]
    return tuple(f"{parent}/{step}" if parent else step for step in sorted(steps, key=_order, reverse=True))


def _published_steps(state: str, partition: str, store: ObjectStore) -> set[str]:
    """The last steps of the published partitions that differ from this one in nothing else."""
    parent, _, own = partition.rpartition("/")
    place = canonical(join(state, "symlinks", "predictions", *([parent] if parent else [])))
    name = own.partition("=")[0] + "="
    listed = (info.uri.removeprefix(place).strip("/").split("/") for info in store.list_all(place))
    return {found[0] for found in listed if len(found) == 2 and found[0].startswith(name)}


def current(state: str, partition: str, store: ObjectStore) -> Earlier | None:
    """What readers of that partition see now; None if that is nothing.

    Raises:
        NotFound: its manifest is gone.
        pydantic.ValidationError: record or manifest are of another format.
    """
    version = Ledger(join(state, partition) if partition else state, partition, store).read().record.current
    return None if version is None else published(version, store)


def published(version: Version, store: ObjectStore) -> Earlier:
    """One version's figures, from its manifest. Raises as `current`."""
    manifest = RunManifest.model_validate_json(store.get(version.manifest).data)
    return Earlier(
        partition=manifest.partition,
        run_id=manifest.run_id,
        bundle_digest=manifest.bundle.digest,
        counts=manifest.counts,
        distributions=manifest.distributions,
    )


def _order(step: str) -> list[tuple[int, str]]:
    """Numbers by their value, so that hour=9 comes before hour=10."""
    parts = re.split(r"(\d+)", step)
    return [(int(part), "") if part.isdecimal() and part.isascii() else (-1, part) for part in parts]


def _week_before(step: str) -> str | None:
    name, _, value = step.partition("=")
    try:
        return f"{name}={date.fromisoformat(value) - WEEK}"
    except (ValueError, OverflowError):
        return None
