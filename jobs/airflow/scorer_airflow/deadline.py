"""Called when a night is not done in time."""

import logging
from typing import Any

log = logging.getLogger(__name__)


def missed(context: Any) -> None:
    """One line where the executor logs. Name your own function in AIRFLOW_SCORER_DEADLINE_CALLBACK to page somebody.

    Args:
        context: dag_run and deadline, plain values.
    """
    run = context["dag_run"]
    log.error(
        "%s %s is not done by its deadline of %s. Readers see the version before.",
        run["dag_id"],
        run["dag_run_id"],
        context["deadline"]["deadline_time"],
    )
