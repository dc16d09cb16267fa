"""Which partitions, by which commands: what both DAGs are made of."""

from collections.abc import Sequence
from datetime import date, timedelta
from importlib import import_module
from typing import Any

from airflow.sdk import Param, Variable

from .deployment import DEPLOYMENT
from .outcomes import LISTINGS, PREDICTIONS, tell_readers

RUNNERS = {"process": ".process", "docker": ".docker", "kubernetes": ".kubernetes"}
"""Modules with FLAGS and expand(). Only the one that is wanted is imported: the others' providers may be missing."""

if DEPLOYMENT.runs_in not in RUNNERS:
    raise ValueError(f"AIRFLOW_SCORER_RUNS_IN is {DEPLOYMENT.runs_in!r}. Known: {', '.join(sorted(RUNNERS))}.")
RUNNER = import_module(RUNNERS[DEPLOYMENT.runs_in], __package__)

_PLUGIN = "macros.OpenLineageProviderPlugin"
LINEAGE = {
    name: f"{{{{ {macro}(task_instance) if {_PLUGIN} is defined and {macro} is defined else '' }}}}"
    for name, macro in (
        ("OPENLINEAGE_PARENT_ID", f"{_PLUGIN}.lineage_parent_id"),
        ("OPENLINEAGE_ROOT_PARENT_ID", f"{_PLUGIN}.lineage_root_parent_id"),
    )
}
"""The job's lineage names this task and its run as parents, where Airflow's OpenLineage provider is installed."""

MOST_TASKS = 1024
"""Airflow maps a task at most [core] max_map_length times, by default as often."""


SETTINGS = Param([], type="array", description="NAME=VALUE for this run: gates.override.degraded=checked by Ann")
"""Of both DAGs."""


def partitions_of(night: date) -> list[str]:
    """Partition keys of one night, by the Variable scorer_partitions: `region=eu/ds={date} region=us/ds={date}`."""
    template: str = Variable.get("scorer_partitions", default="ds={date}")
    return [key.format(date=night, day_before=night - timedelta(days=1)) for key in template.split()]


def nightly_partitions(context: Any) -> list[str]:
    """What a run is to score: what it was told, what its triggering events name, or what its date means.

    An event names a partition by `{"partition": "ds=2026-11-24"}` as its extra.
    """
    if told := context["params"].get("partitions"):
        return list(told)
    events = (context.get("triggering_asset_events") or {}).values()
    if named := {event.extra["partition"] for group in events for event in group if "partition" in event.extra}:
        return sorted(named)
    return partitions_of((context.get("logical_date") or context["dag_run"].run_after).date())


def nights(first: date, last: date, newest_first: bool) -> list[date]:
    """All dates of a range, inclusive.

    Raises:
        ValueError: there is none.
    """
    if first > last:
        raise ValueError(f"from {first} is behind to {last}. Nothing was started.")
    found = [first + timedelta(days=day) for day in range((last - first).days + 1)]
    return found[::-1] if newest_first else found


def commands(partitions: Sequence[str], settings: Sequence[str] = (), *flags: str) -> list[list[str]]:
    """The arguments of one job a partition; places and further settings come from Variables.

    scorer_listings, scorer_bundle and scorer_predictions are required; scorer_settings may hold settings of every run:
    `rows_per_unit=1024 speed.batch_images=128`. `settings` are those of this run and come after them.

    Raises:
        ValueError: more partitions than Airflow maps.
    """
    if len(partitions) > MOST_TASKS:
        raise ValueError(f"{len(partitions)} partitions are more than {MOST_TASKS}. Nothing was started; take a part.")
    places = [f"--{name}={Variable.get('scorer_' + name)}" for name in ("listings", "bundle", "predictions")]
    sets = [f"--set={setting}" for setting in (*Variable.get("scorer_settings", default="").split(), *settings)]
    return [["score", f"--partition={key}", *places, *RUNNER.FLAGS, *sets, *flags] for key in partitions]


def score(commands_to_run: Any, **options: Any) -> Any:
    """One task a partition."""
    return RUNNER.expand(
        commands_to_run,
        LINEAGE,
        task_id="score",
        pool=DEPLOYMENT.pool,
        retries=DEPLOYMENT.retries,
        retry_delay=DEPLOYMENT.retry_delay,
        retry_exponential_backoff=2.0,
        execution_timeout=DEPLOYMENT.timeout,
        inlets=[LISTINGS],
        outlets=[PREDICTIONS],
        post_execute=tell_readers,
        **options,
    )
