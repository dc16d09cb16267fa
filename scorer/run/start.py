"""One start of a run: what it works on, with what, and where it stages."""

import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime

from scorer.contracts import built_in
from scorer.objectstore import join
from scorer.output.attempts import Attempts
from scorer.output.manifest import versions
from scorer.output.predictions import MEANING
from scorer.output.staging import Staging
from scorer.run.check import Checked
from scorer.run.plan import Plan, partition_state
from scorer.run.reuse.source import context
from scorer.run.tools import Tools
from scorer.settings import Job


@dataclass(frozen=True)
class Start:
    """A run may take several starts, on several machines; they share the plan and its finished units.

    Attributes:
        began: UTC.
        token: names what this start alone writes.
    """

    job: Job
    tools: Tools
    checked: Checked
    plan: Plan
    began: datetime
    token: str = field(default_factory=lambda: secrets.token_hex(8))

    @property
    def folder(self) -> str:
        """Of the plan, with all that is staged for it."""
        return self.plan.folder(partition_state(self.job, self.checked.partition))

    @property
    def staging(self) -> Staging:
        """The finished units of the plan."""
        return Staging(join(self.folder, "units"), self.plan.run_id, self.tools.store)

    def discard(self) -> None:
        """Remove the plan, then its finished units: something is wrong with them.

        Whoever still works on the plan stages under its run's name, which no later run looks at.
        """
        self.tools.store.delete([join(self.folder, "plan.json")])
        self.staging.discard()

    @property
    def staged_folder(self) -> str:
        """Where this start puts whole files and their manifest."""
        return join(self.folder, "starts", self.token)

    def attempts(self) -> Attempts:
        """The record of units begun and not finished; one object a start, so take it once."""
        return Attempts(join(self.folder, "attempts"), self.token, self.tools.store)

    @property
    def lineage(self) -> dict[str, str]:
        """What every published file says about its origin, in its Parquet metadata."""
        plan, bundle = self.plan, self.checked.bundle
        return {
            "scorer.run_id": plan.run_id,
            "scorer.start": self.token,
            "scorer.plan_digest": plan.digest,
            "scorer.partition": plan.partition,
            "scorer.listings": self.checked.partition.place,
            "scorer.bundle_name": bundle.name,
            "scorer.bundle_version": bundle.version,
            "scorer.bundle_digest": bundle.digest,
            MEANING: bundle.meaning.model_dump_json(),
            "scorer.contract_version": built_in("predictions").version,
            "scorer.version": versions()["scorer"],
            "scorer.reuse_context": context(self.checked, self.job),
        }

    @property
    def seconds(self) -> float:
        """Since it began."""
        return round((datetime.now(UTC) - self.began).total_seconds(), 3)
