"""What there is of each partition: published, missing, failed, or stale, and why."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Literal

from pydantic import ValidationError

from scorer.contracts import Contract
from scorer.errors import BundleError, NothingToDo, ScorerError, SettingsError, Terminal
from scorer.model.bundle import Bundle
from scorer.objectstore import ObjectInfo, ObjectStore, file_name, join
from scorer.output.commit import Seen, Version
from scorer.run.check import Checked, check_partition
from scorer.run.history import ledger_of, read_manifest
from scorer.run.plan import plan_digest
from scorer.settings import Job

State = Literal["published", "missing", "failed", "stale", "no listings"]
"""missing: never published, no run was begun. failed: a run was begun or refused, and none published. stale: published
by another bundle, from other input, or under other settings. no listings: nothing to score."""

LOOKS = 8
"""Partitions looked at at a time: each costs a record and the footers of its files."""


@dataclass(frozen=True)
class Condition:
    """The state of one partition.

    Attributes:
        partition: its key.
        state: in one word.
        why: what made it so; empty where the word says it all.
        checked: its files held against bundle and contract; None where they cannot be read or there are none.
        published: the version that readers see.
    """

    partition: str
    state: State
    why: str
    checked: Checked | None
    published: Version | None

    @property
    def published_at(self) -> datetime | None:
        """When what readers see became current."""
        return self.published.published_at if self.published else None


def conditions(
    job: Job, keys: list[str], bundle: Bundle, contract: Contract | None, store: ObjectStore
) -> list[Condition]:
    """The condition of each partition, in the order of the keys. Reads records and footers, no listing and no image.

    Raises:
        SettingsError, BundleError: what concerns every partition. A partition that cannot be read says so itself.
    """
    look = partial(condition, job, bundle=bundle, contract=contract, store=store)
    with ThreadPoolExecutor(LOOKS) as readers:
        return list(readers.map(look, keys))


def condition(job: Job, key: str, bundle: Bundle, contract: Contract | None, store: ObjectStore) -> Condition:
    """The condition of one partition."""
    job = job.model_copy(update={"partition": key, "force": False})
    seen = ledger_of(job.state_uri, key, store).read()
    current = seen.record.current
    try:
        checked = check_partition(job, bundle, contract, store)
    except NothingToDo:
        return Condition(key, "no listings", "published once; its listings are gone" if current else "", None, current)
    except (SettingsError, BundleError):
        raise
    except Terminal as error:  # this partition's input; a run over it would say the same and leave the others alone
        return _unreadable(job, key, current, str(error), store)
    except ScorerError:
        raise
    except Exception as error:  # likewise
        return _unreadable(job, key, current, f"a bug in scorer ({type(error).__name__}: {error})", store)
    if current is None:
        return Condition(key, *_unpublished(job, key, store), checked, None)
    return Condition(key, *_compared(job, checked, seen, current, store), checked, current)


def _unreadable(job: Job, key: str, current: Version | None, why: str, store: ObjectStore) -> Condition:
    state: State = "stale" if current else _unpublished(job, key, store)[0]
    return Condition(key, state, _short(why), None, current)


def _compared(job: Job, checked: Checked, seen: Seen, current: Version, store: ObjectStore) -> tuple[State, str]:
    """A published partition against what would be scored today."""
    digest = plan_digest(checked, job, seen)
    if seen.published(digest):
        return "published", ""
    if seen.was_taken_away(digest):
        return "published", f"rolled back to run {current.run_id}"
    return "stale", _difference(job, checked, current, store)


def _difference(job: Job, checked: Checked, current: Version, store: ObjectStore) -> str:
    manifest = read_manifest(current.manifest, store)
    reasons = []
    if current.bundle_digest != checked.bundle.digest:
        by = f"{manifest.bundle.name} {manifest.bundle.version}" if manifest else current.bundle_digest[:12]
        reasons.append(f"scored by bundle {by}")
    if manifest is not None and (others := _other_settings(job, manifest.settings)):
        reasons.append(f"other settings: {', '.join(others)}")
    return "; ".join(reasons) or "its listings, or the contract, changed since"


def _other_settings(job: Job, then: dict[str, object]) -> list[str]:
    """Names of the settings that can change a score and were others then."""
    try:
        before = Job.model_validate(then)
    except ValidationError:
        return ["those of another version of scorer"]
    if before.fingerprint() == job.fingerprint():
        return []
    return [name for name in Job.model_fields if _alters(job, name, getattr(before, name))]


def _alters(job: Job, name: str, value: object) -> bool:
    return job.model_copy(update={name: value}).fingerprint() != job.fingerprint()


def _unpublished(job: Job, key: str, store: ObjectStore) -> tuple[State, str]:
    """Whether a run was ever begun, and what became of it."""
    found = store.list_all(join(job.state_uri, key) if key else job.state_uri)
    begun = [info for info in found if file_name(info.uri) == "plan.json"]
    if not begun:
        return "missing", ""
    manifests = [info for info in found if file_name(info.uri) == "manifest.json" and "/starts/" in info.uri]
    if manifests and (refused := _refused(max(manifests, key=_modified), store)):
        return "failed", refused
    units = sum(file_name(info.uri).endswith(".predictions.parquet") and "/units/" in info.uri for info in found)
    return "failed", f"a run was begun on {max(map(_modified, begun)):%Y-%m-%d %H:%M} UTC; {units} unit(s) finished"


def _refused(info: ObjectInfo, store: ObjectStore) -> str:
    """The gates that refused a run; empty if it was not refused."""
    manifest = read_manifest(info.uri, store)
    if manifest is None or manifest.outcome != "refused":
        return ""
    gates = [verdict.gate for verdict in manifest.verdicts if verdict.status == "fail"]
    return f"refused by {', '.join(gates) or 'a gate'} on {manifest.finished_at:%Y-%m-%d %H:%M} UTC"


def _modified(info: ObjectInfo) -> datetime:
    return info.modified


def _short(text: str) -> str:
    return text if len(text) <= 300 else text[:297] + "..."
