"""Settings as frozen values: one file for whom they serve, and `loading` for where they come from."""

# In the order of the page of settings.
# isort: off
from scorer.settings.base import Settings
from scorer.settings.job import CHANGES_NO_SCORE, Costs, ImageLimits, ImageSources, Job, Precision, Speed
from scorer.settings.gates import (
    ContractLimits,
    DegradedLimits,
    FailedLimits,
    FeatureDrift,
    FreshnessLimits,
    Gates,
    ImageFailureLimits,
    Limit,
    Limits,
    NightlyShift,
    RangeLimits,
    RowLimits,
    Shift,
)
from scorer.settings.observing import Lineage, Telemetry
from scorer.settings.reuse import Embeddings, EmbeddingType, Reuse
from scorer.settings.spreading import Engine, Ray, Shard
from scorer.settings.housekeeping import Housekeeping
from scorer.settings.training import TrainJob
from scorer.settings.adoption import CreateJob
from scorer.settings.loading import ENVIRONMENT_PREFIX, load
# isort: on

__all__ = [
    "CHANGES_NO_SCORE",
    "ENVIRONMENT_PREFIX",
    "ContractLimits",
    "Costs",
    "CreateJob",
    "DegradedLimits",
    "EmbeddingType",
    "Embeddings",
    "Engine",
    "FailedLimits",
    "FeatureDrift",
    "FreshnessLimits",
    "Gates",
    "Housekeeping",
    "ImageFailureLimits",
    "ImageLimits",
    "ImageSources",
    "Job",
    "Limit",
    "Limits",
    "Lineage",
    "NightlyShift",
    "Precision",
    "RangeLimits",
    "Ray",
    "Reuse",
    "RowLimits",
    "Settings",
    "Shard",
    "Shift",
    "Speed",
    "Telemetry",
    "TrainJob",
    "load",
]
