"""What a gate says of a run."""

from typing import Literal

from pydantic import Field

from scorer.settings import Settings

Status = Literal["pass", "warn", "fail", "overridden", "not judged"]


class Verdict(Settings):
    """One gate's judgement of one run; part of the manifest."""

    gate: str
    status: Status
    """overridden: failed, and published all the same because the settings say so. not judged: nothing to compare."""
    about: str = ""
    """The feature, reason or partition that decided; empty where the gate knows only one thing."""
    measured: float | None = None
    """What decided, in the unit of `limit`."""
    limit: float | None = None
    """The limit that was crossed; of a gate that passed, the nearest one. With the allowance for noise."""
    reason: str
    """For an engineer at 4 a.m.: what, how much against what, where to look, how to override."""
    details: dict[str, float] = Field(default_factory=dict)
    """Everything that was measured, worst first: feature or reason -> figure."""
    by: str = ""
    """overridden: who did."""
    why: str = ""
    """overridden: in their words."""
