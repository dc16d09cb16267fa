"""What became of each partition, and of those whose turn never came."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from scorer.errors import BundleError, NothingToDo
from scorer.model.bundle import load_bundle
from scorer.objectstore import ObjectStore
from scorer.run.backfill.planning import BackfillPlan, Line
from scorer.run.tools import Tools


@dataclass(frozen=True)
class Outcome:
    """What became of one partition.

    Attributes:
        partition: its key.
        exit_code: as `scorer score` would have ended.
        run_id: that published; None where none did.
        seconds: that the run took; None where it did not publish.
        error: what ended it, in its own words; empty where it published.
        begun: whether its turn came.
    """

    partition: str
    exit_code: int = 0
    run_id: str | None = None
    seconds: float | None = None
    error: str = ""
    begun: bool = True

    @property
    def verdict(self) -> str:
        """In a few words."""
        if not self.exit_code:
            return "published"
        if self.exit_code == NothingToDo.exit_code:
            return f"nothing to do, exit code {self.exit_code}"
        return f"{'failed' if self.begun else 'not begun'}, exit code {self.exit_code}"


def exit_code_of(outcomes: Sequence[Outcome]) -> int:
    """Of the whole: that of the first failure; 99 only if there was nothing to do in any of them."""
    codes = [outcome.exit_code for outcome in outcomes]
    failures = [code for code in codes if code not in (0, NothingToDo.exit_code)]
    if failures:
        return failures[0]
    return NothingToDo.exit_code if codes and all(codes) else 0


def is_still_there(plan: BackfillPlan, store: ObjectStore) -> bool:
    """Whether the bundle is the one that the plan was made with."""
    try:
        return load_bundle(plan.bundle.uri, store).digest == plan.bundle.digest
    except BundleError:
        return False


def not_begun(lines: Sequence[Line], plan: BackfillPlan, tools: Tools) -> Iterator[Outcome]:
    """The outcomes of partitions whose turn never came, because the bundle changed."""
    if not lines:
        return
    why = (
        f"Not begun: the bundle {plan.bundle.uri} is not the one that this backfill began with"
        f" ({plan.bundle.version}, {plan.bundle.digest[:12]}). What readers see is unchanged. Put that bundle back and"
        " start the same command again, or start a new backfill by the new one."
    )
    tools.reporter.event("bundle changed", f"{len(lines)} partition(s) stay undone. {why}", partitions=len(lines))
    yield from (Outcome(line.partition, BundleError.exit_code, error=why, begun=False) for line in lines)
