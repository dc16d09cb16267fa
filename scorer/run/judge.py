"""The gates of a run: what they judge by is gathered here, and what follows from their verdicts."""

import getpass
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial

from pydantic import ValidationError

from scorer.errors import GateError, NotFound
from scorer.intake.partitions import listed
from scorer.output import earlier, reference
from scorer.output.commit import Seen
from scorer.output.distribution import Distributions
from scorer.output.gates import judge
from scorer.output.gates.facts import Earlier, Facts
from scorer.output.gates.verdict import Verdict
from scorer.output.manifest import RunManifest
from scorer.output.tally import Tally
from scorer.run.start import Start
from scorer.run.tools import Tools


def verdicts(start: Start, counts: Tally, distributions: Distributions, seen: Seen) -> tuple[Verdict, ...]:
    """Every gate's verdict on what this start has staged.

    Args:
        start: with the bundle, the partition and the settings.
        counts: of the whole run.
        distributions: of the whole run.
        seen: the partition's record as it was when the run began.
    """
    bundle = start.checked.bundle
    facts = Facts(
        bundle_digest=bundle.digest,
        counts=counts,
        distributions=distributions,
        training=reference.training(bundle.profile),
        earlier=_earlier(start, seen),
        input_age=_input_age(start),
    )
    return judge(facts, start.job.gates, _user())


def say(judged: Sequence[Verdict], tools: Tools) -> None:
    """Warnings and overrides as events; a failure is told by the error that ends the run."""
    for verdict in judged:
        facts = {"gate": verdict.gate, "about": verdict.about, "measured": verdict.measured, "limit": verdict.limit}
        if verdict.status == "warn":
            tools.reporter.event("warning", f"Gate {verdict.gate} warns: {verdict.reason}", **facts)
        elif verdict.status == "overridden":
            text = f"Gate {verdict.gate} failed and was overridden by {verdict.by}: {verdict.why} ({verdict.reason})"
            tools.reporter.event("gate overridden", text, by=verdict.by, why=verdict.why, **facts)


def insist(manifest: RunManifest, folder: str) -> None:
    """Raise GateError unless every gate lets the run pass. `folder` is where the files stay staged."""
    failed = [verdict for verdict in manifest.verdicts if verdict.status == "fail"]
    if not failed:
        return
    names = ", ".join(verdict.gate for verdict in failed)
    gates = f"gate {names}" if len(failed) == 1 else f"gates {names}"
    reasons = "\n".join(f"  {verdict.gate}: {verdict.reason}" for verdict in failed)
    raise GateError(
        f"{manifest.partition or manifest.listings}: refused by the {gates}. Nothing was published; the staged files"
        f" and their manifest stay at {folder} for inspection.\n{reasons}"
    )


def _earlier(start: Start, seen: Seen) -> tuple[Earlier, ...]:
    """What readers see of this partition, of the one before it, and of the one a week before."""
    store, state, key = start.tools.store, start.job.state_uri, start.plan.partition
    reads: dict[str, Callable[[], Earlier | None]] = {}
    if (known := seen.record.current) is not None:
        reads[key] = partial(earlier.published, known, store)
    for other in earlier.neighbours(state, key, store) if key else ():
        reads[other] = partial(earlier.current, state, other, store)
    with ThreadPoolExecutor(max(len(reads), 1)) as readers:
        found = readers.map(partial(_read, tools=start.tools), reads, reads.values())
    return tuple(one for one in found if one is not None)


def _read(partition: str, read: Callable[[], Earlier | None], tools: Tools) -> Earlier | None:
    """An account that cannot be read compares nothing, and costs no night."""
    try:
        return read()
    except (NotFound, ValidationError) as error:
        whose, why = partition or "the version before", str(error).splitlines()[0]
        text = f"The manifest of {whose} cannot be read ({why}): nothing is compared with it."
        tools.reporter.event("warning", text, partition=partition)
        return None


def _input_age(start: Start) -> float | None:
    """Hours since the newest input file was written; asked for only if the gate has a limit."""
    limits, partition = start.job.gates.freshness, start.checked.partition
    if limits.warn is None and limits.fail is None:
        return None
    planned = {file.uri for file in partition.files}
    infos = listed(partition, start.tools.store)
    newest = max((info.modified for info in infos if info.uri in planned), default=None)
    return None if newest is None else (datetime.now(UTC) - newest).total_seconds() / 3600


def _user() -> str:
    """Who runs the job; containers often run as a number without a name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"
