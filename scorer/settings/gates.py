"""Limits of the gates."""

from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from scorer.settings.base import Settings


def _off(value: Any) -> Any:
    return None if isinstance(value, str) and value.strip().lower() in ("off", "none", "null") else value


Limit = Annotated[Annotated[float, Field(ge=0.0)] | None, BeforeValidator(_off)]
"""A gate's limit; None, in texts `off`: none."""


class Limits(Settings):
    """When a gate warns, and when it blocks the publish: beyond these figures. off: never."""

    warn: Limit = None
    """Beyond this the gate warns; the run is published."""

    fail: Limit = None
    """Beyond this nothing is published; exit 4."""


class ContractLimits(Limits):
    """Share of the rows that are quarantined, 0 to 1."""

    warn: Limit = 0.01
    fail: Limit = 0.05


class RowLimits(Limits):
    """How many times more, or fewer, rows than the last partition, and than the one a week before: a ratio over 1."""

    warn: Limit = 1.4
    fail: Limit = 1.6


class DegradedLimits(Limits):
    """Share of the predicted rows that something was missing for, 0 to 1."""

    warn: Limit = 0.6
    fail: Limit = 0.9

    rise_warn: Limit = 0.1
    """By how much the share may exceed the last partition's before the gate warns."""

    rise_fail: Limit = 0.3
    """By how much the share may exceed the last partition's before nothing is published."""


class FailedLimits(Limits):
    """Share of the predicted rows without a prediction, 0 to 1."""

    warn: Limit = 0.001
    fail: Limit = 0.01


class RangeLimits(Limits):
    """Share of the predictions far outside what the training's targets span, 0 to 1."""

    warn: Limit = 0.001
    fail: Limit = 0.01


class ImageFailureLimits(Limits):
    """Share of the images that fail for one and the same reason, 0 to 1."""

    warn: Limit = 0.02
    fail: Limit = 0.1

    reasons: dict[str, Limits] = Field(default_factory=dict)
    """Limits of their own for some reasons: {"image_forbidden": {"fail": 0.01}}."""


class FreshnessLimits(Limits):
    """Age of the newest input file, in hours. Leave it off for backfills."""


class PsiLimits(Limits):
    """Population stability index. A normal distribution that moves by d standard deviations measures d squared."""

    warn: Limit = 0.25
    fail: Limit = 0.5


class KsLimits(Limits):
    """Kolmogorov-Smirnov distance: by how much the shares below some value differ at most, 0 to 1."""

    warn: Limit = 0.2
    fail: Limit = 0.3


class Shift(Settings):
    """How far apart two distributions may be. Either distance decides; each is judged only beyond its noise."""

    psi: PsiLimits = PsiLimits()
    """Of the shares in the bins of the training's profile."""

    ks: KsLimits = KsLimits()
    """Of numbers; categories have no order."""


class NightlyPsiLimits(PsiLimits):
    """Tighter: one night is closer to the next than to the training."""

    warn: Limit = 0.1
    fail: Limit = 0.25


class NightlyKsLimits(KsLimits):
    """Tighter, likewise."""

    warn: Limit = 0.12
    fail: Limit = 0.2


class NightlyShift(Shift):
    """Predictions of this partition against the last one's."""

    psi: NightlyPsiLimits = NightlyPsiLimits()
    ks: NightlyKsLimits = NightlyKsLimits()


class FeatureDrift(Shift):
    """Each feature, and the number of images, against the training."""

    ignore: tuple[str, ...] = ()
    """Features that move by themselves, for instance a year: not judged. `images per listing` is one of the names."""


class Gates(Settings):
    """What a run must pass before it is published. See docs/decisions/gates.md for what each measures."""

    enforce: bool = True
    """false: gates that fail only warn. For the first weeks with data that nobody has watched yet."""

    contract: ContractLimits = ContractLimits()
    """Quarantined rows."""

    rows: RowLimits = RowLimits()
    """Number of rows: a partition written twice, or half of one."""

    degraded: DegradedLimits = DegradedLimits()
    """Rows scored without something that they should have."""

    failed: FailedLimits = FailedLimits()
    """Rows without a prediction."""

    images: ImageFailureLimits = ImageFailureLimits()
    """Images that could not be used."""

    range: RangeLimits = RangeLimits()
    """Predictions beyond reason."""

    score_shift: NightlyShift = NightlyShift()
    """Predictions against the last published partition's."""

    score_drift: Shift = Shift()
    """Predictions against those of the training's held-back listings."""

    feature_drift: FeatureDrift = FeatureDrift()
    """Features against the training."""

    freshness: FreshnessLimits = FreshnessLimits()
    """Age of the input. Off by default."""

    override: dict[str, str] = Field(default_factory=dict)
    """Gate -> why it may fail this time. The run is published; who and why stand in the manifest. Take it out again."""

    by: str | None = None
    """Who overrides; by default the user that runs the job."""

    @model_validator(mode="after")
    def _overrides_are_known_and_say_why(self) -> Self:
        known = sorted(type(self).model_fields.keys() - {"enforce", "override", "by"})
        if unknown := sorted(self.override.keys() - set(known)):
            raise ValueError(f"there is no gate {', '.join(unknown)} to override. Known: {', '.join(known)}")
        if silent := sorted(gate for gate, why in self.override.items() if not why.strip()):
            raise ValueError(f"say why {', '.join(silent)} may be overridden; the manifest keeps the reason")
        return self
