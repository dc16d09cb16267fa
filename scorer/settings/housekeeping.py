"""What looks after published predictions."""

import re
from datetime import timedelta
from typing import Any

from pydantic import Field, field_validator

from scorer.settings.base import Settings


class Housekeeping(Settings):
    """What `scorer versions`, `rollback` and `gc` need to know: where the state of a job lives."""

    predictions: str
    """Folder or S3 prefix that the predictions are published under, as in the job."""

    state: str | None = None
    """Where plans, staged files and manifests live; by default PREDICTIONS.scorer."""

    partition: str | None = None
    """Partition key, for instance ds=2026-11-24. `gc` without it takes every partition."""

    single_writer: bool = False
    """Your word that nobody else publishes here meanwhile: for stores without conditional writes."""

    keep_versions: int = Field(3, ge=0)
    """Superseded versions of a partition that `gc` leaves whatever their age, for `rollback`."""

    older_than: timedelta = Field(timedelta(days=7), ge=timedelta(0), le=timedelta(days=36_500))
    """What was written to or current until more recently is left alone by `gc`: 7d, 12h, 30m. Longer than any run."""

    @field_validator("older_than", mode="before")
    @classmethod
    def _spelled_short(cls, value: Any) -> Any:
        found = re.fullmatch(r"(\d{1,5})([smhdw])", value.strip()) if isinstance(value, str) else None
        units = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
        return timedelta(**{units[found[2]]: int(found[1])}) if found else value

    @property
    def state_uri(self) -> str:
        """Where the runs' state lives."""
        return self.state or self.predictions.rstrip("/") + ".scorer"
