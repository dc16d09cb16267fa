"""How a shard ends: while others have units to do, without a publish; the last one to finish goes on to it."""

from scorer.errors import ShareDone, StagingGone
from scorer.run.plan import dealt, partition_state, planned
from scorer.run.start import Start
from scorer.settings import Shard


def insist_on_all(start: Start, shard: Shard) -> None:
    """Return where every unit of the plan is finished, whoever did it.

    Raises:
        ShareDone: other shards have units to do.
        StagingGone: the plan is not there any more, and so nobody will find the units of this shard.
    """
    plan, store = start.plan, start.tools.store
    there = planned(plan.digest, partition_state(start.job, start.checked.partition), store)
    if there is None or there.run_id != plan.run_id:
        raise StagingGone(
            f"The plan of run {plan.run_id} was removed while shard {shard} worked: by `scorer gc` with too short an"
            " age, or by another shard that found what was taken over to be wrong. Nothing was published. Start all"
            " shards again."
        )
    finished = start.staging.finished()
    left = [unit for unit in plan.units if unit.id not in finished]
    if left:
        raise ShareDone(
            f"Shard {shard} of run {plan.run_id} is done: {len(dealt(plan.units, shard)):,} of {len(plan.units):,} work"
            f" units. Other shards have {len(left):,} left, with {sum(unit.rows for unit in left):,} rows; the last to"
            " finish publishes. Should one of them never come: the same command without --shard does what is left."
        )
