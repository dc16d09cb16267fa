"""One file per engine: each hands its workers a stream of units, and nothing more."""

import importlib.util
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from scorer.errors import SettingsError
from scorer.intake.partitions import Unit
from scorer.output.profile import Spread
from scorer.run.check import Checked
from scorer.run.reuse import Known
from scorer.run.stage_units import UnitDone
from scorer.run.start import Start
from scorer.run.tools import Tools
from scorer.settings import Job

Run = Callable[[Sequence[Unit], frozenset[str]], Generator[UnitDone, None, None]]
"""Units to what became of each, in some order. The ids are of those on their last attempt: their images are decoded in
processes of their own. Raises InputError, InputChanged, StoreUnreachable, AuditError, Interrupted; what was yielded as
staged stays so. Closed before its end, somebody asked to stop: it finishes what is in hand, and raises the same."""


class Crew(NamedTuple):
    """Those who are at work.

    Attributes:
        run: takes units.
        spread: the machines of a cluster; None: this process.
    """

    run: Run
    spread: Spread | None = None


class Engine(Protocol):
    """Who does the work."""

    def batch_images(self, checked: Checked, job: Job, tools: Tools) -> int:
        """Images per forward pass, measured where the work will be done."""

    def ready(self, start: Start, known: Known | None) -> AbstractContextManager[Crew]:
        """Workers that wait for units. Raises BundleError where the bundle does not score as it should."""


def engine_of(job: Job) -> Engine:
    """The one that the job names. Its import may take seconds: TensorFlow's.

    Raises:
        SettingsError: its package is not installed.
    """
    if job.engine == "ray":
        if importlib.util.find_spec("ray") is None:
            raise SettingsError(
                "engine: ray needs the package ray, here and on every node of the cluster: pip install 'scorer[ray]'."
                " Nothing was scored."
            )
        from scorer.run.engines.ray import engine

        return engine
    from scorer.run.engines import local

    return local
