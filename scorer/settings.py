"""The job and its parts as frozen values, and the one place where YAML, environment and flags become them."""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from scorer.errors import SettingsError

ENVIRONMENT_PREFIX = "SCORER_"

Precision = Literal["float32", "bfloat16", "float16"]
"""Of the image tower's and the head's arithmetic."""

Share = Annotated[float, Field(ge=0.0, lt=1.0)]


class Settings(BaseModel):
    """A frozen group of settings. Unknown names are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class ImageLimits(Settings):
    """What an image may cost before it is refused. Images are uploaded by strangers."""

    max_bytes: int = Field(20 * 1024 * 1024, gt=0)
    """Largest image file, in bytes. A larger one degrades its row as image_too_large."""

    max_pixels: int = Field(100_000_000, gt=0)
    """Most pixels (width x height) that an image's header may announce. More: image_too_many_pixels."""

    truncated: Literal["corrupt", "use"] = "corrupt"
    """A JPEG that breaks off: image_corrupt, or use the rows of pixels that are there."""

    decode_seconds: int = Field(10, gt=0, le=3600)
    """Processor time for one image, in seconds, where it is decoded in a process of its own: HEIC, AVIF, and whatever
    is costly by its header. Longer: image_corrupt. A busy machine refuses no more than an idle one."""

    decode_memory_mb: int = Field(1024, ge=64)
    """Memory for one image, in MiB, where it is decoded in a process of its own. More: image_too_many_pixels."""


class ImageSources(Settings):
    """Where images may come from. Anything else degrades its row as image_forbidden."""

    buckets: tuple[str, ...] = ()
    """S3 buckets that image URIs may name besides the bucket that holds the listings."""

    folders: tuple[str, ...] = ()
    """Local folders that image URIs may point into besides the listings' own."""


class Speed(Settings):
    """Changes time and memory, never a score (beyond the stated tolerance)."""

    batch_images: Annotated[int, Field(gt=0)] | Literal["auto"] = "auto"
    """Images per forward pass of the image tower. auto: the fastest on this machine, measured when the plan is made."""

    batch_rows: int = Field(1024, gt=0)
    """Rows per forward pass of the head."""

    fetch_concurrency: int = Field(32, gt=0)
    """Image requests in flight at the object store. Local files are read by the decoding threads."""

    decode_threads: int = Field(0, ge=0)
    """Threads that decode and resize; 0: one per core."""

    buffered_batches: int = Field(3, gt=0)
    """Batches of images fetched or decoded ahead of the forward pass. Bounds the memory."""


class Costs(Settings):
    """What a machine costs, for estimates in money beside those in minutes."""

    price_per_hour: float | None = Field(None, ge=0.0, allow_inf_nan=False)
    """Price of one hour of the machine that the job runs on. Without it no cost is shown."""

    currency: str = Field("", max_length=8)
    """Shown behind every cost, for instance EUR."""


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


class Lineage(Settings):
    """OpenLineage events of each run. Off unless `to` is set; no run waits for them or fails with them."""

    to: str | None = None
    """Where events go: a lineage server, http://marquez:5000, or a local file that gets one line an event. The key of a
    server is taken from OPENLINEAGE_API_KEY."""

    namespace: str = Field("scorer", min_length=1)
    """Of the job, among all jobs that the lineage server knows."""

    name: str = Field("score_partition", min_length=1)
    """Of the job. Give each of several scoring jobs one of its own."""

    parent: str | None = None
    """The run that started this one, as NAMESPACE/JOB/RUN_ID; by default what OPENLINEAGE_PARENT_ID says."""

    @field_validator("to")
    @classmethod
    def _known_kind(cls, value: str | None) -> str | None:
        if value is not None and "://" in value and not value.startswith("file://"):
            return _insist_on_http(value, "OPENLINEAGE_API_KEY")
        return value

    @field_validator("parent")
    @classmethod
    def _three_steps(cls, value: str | None) -> str | None:
        if value is not None and len([step for step in value.rsplit("/", 2) if step]) != 3:
            raise ValueError("expected NAMESPACE/JOB/RUN_ID")
        return value


class Telemetry(Settings):
    """OpenTelemetry metrics and traces of each run. Off unless `otlp` is set; no run waits for them, or fails."""

    otlp: str | None = None
    """Base URL of a collector that takes OTLP over HTTP, http://collector:4318. Needs the extra `telemetry`.
    Headers come from OTEL_EXPORTER_OTLP_HEADERS."""

    every_seconds: float = Field(15.0, ge=1.0)
    """Between two exports of metrics while a run goes."""

    @field_validator("otlp")
    @classmethod
    def _known_scheme(cls, value: str | None) -> str | None:
        return None if value is None else _insist_on_http(value, "OTEL_EXPORTER_OTLP_HEADERS")


def _insist_on_http(url: str, variable: str) -> str:
    """Raises ValueError. The manifest of every run keeps the settings: a password among them would stay for good."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("expected http://HOST:PORT or https://HOST")
    if parts.username or parts.password:
        raise ValueError(f"no credentials in a URL, please: the environment variable {variable} is the place")
    return url.rstrip("/")


class Page(Settings):
    """The page that a run leaves beside its manifest, and its entry in the series of runs."""

    write: bool = True
    """Whether there is one."""

    gallery: int = Field(6, ge=0, le=24)
    """Listings shown with a picture, of each kind: the highest, the lowest, those that moved most. 0: none, and the
    state keeps no image."""


class Job(Settings):
    """One scoring job: which listings, by which bundle, where to."""

    listings: str
    """Folder or S3 prefix of the partitions; or one partition; or one Parquet file."""

    bundle: str
    """Folder or S3 prefix of the trained bundle."""

    predictions: str
    """Folder or S3 prefix that the predictions are published under, one sub-folder a partition."""

    partition: str | None = None
    """Partition key, for instance ds=2026-11-24. Not needed when `listings` is one partition or one file."""

    quarantine: str | None = None
    """Where refused rows go; by default PREDICTIONS.quarantine."""

    state: str | None = None
    """Where plans, staged files and manifests live; by default PREDICTIONS.scorer."""

    bundle_key: str | None = None
    """Ed25519 public key (PEM). If given, only a bundle that was signed with its private key is scored by."""

    bundle_digest: str | None = None
    """If given, only the bundle with this digest is scored by; `scorer bundle inspect` prints it. A backfill insists on
    the one that it began with."""

    contract: str | None = None
    """A contract (ODCS YAML) of your own for the listings: ranges, required columns; checked besides the built-in."""

    require_partition: bool = False
    """A partition that does not exist is an error (exit 3), not a quiet night (exit 99)."""

    force: bool = False
    """Score again although this very work is published already."""

    single_writer: bool = False
    """Your word that one run at a time publishes here. A store without conditional writes is refused otherwise."""

    grace_seconds: float = Field(30.0, ge=0.0)
    """After SIGTERM, how long to go on until the work unit in hand is finished. Then it is dropped. Exit 75 either way.
    Keep it below what your scheduler waits before SIGKILL (Kubernetes: terminationGracePeriodSeconds)."""

    rows_per_unit: int = Field(4096, gt=0)
    """Rows per work unit: what is redone at most after a crash, and what one worker takes at a time."""

    rows_per_file: int = Field(5_000_000, gt=0)
    """Up to this many rows a partition's predictions are one object, replaced by one PUT."""

    precision: Precision = "float32"
    """float32; or 16 bits where the machine has them, faster, which moves scores by some percent of their deviation:
    bfloat16 on CPUs, float16 on GPUs."""

    images: ImageLimits = ImageLimits()
    """Limits on each image."""

    sources: ImageSources = ImageSources()
    """Where images may come from."""

    speed: Speed = Speed()
    """Concurrency and batch sizes."""

    lineage: Lineage = Lineage()
    """Where OpenLineage events of the run go."""

    telemetry: Telemetry = Telemetry()
    """Where OpenTelemetry metrics and traces of the run go."""

    costs: Costs = Costs()
    """What a machine costs."""

    gates: Gates = Gates()
    """What a run must pass before it is published."""

    page: Page = Page()
    """The page of the run."""

    def fingerprint(self) -> str:
        """SHA-256 over every setting that can change a score or the rows written.

        Places and settings of speed stay outside. A setting missing from `CHANGES_NO_SCORE` costs one needless
        re-score; the other way round would serve stale scores.
        """
        values = self.model_dump(mode="json", exclude=set(CHANGES_NO_SCORE))
        # A contract is named by its place; the caller adds its content (see run/plan.py).
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()

    @property
    def quarantine_uri(self) -> str:
        """Where refused rows go."""
        return self.quarantine or self.predictions.rstrip("/") + ".quarantine"

    @property
    def state_uri(self) -> str:
        """Where the runs' state lives: a sibling of the predictions, so that no warehouse lists it as data."""
        return self.state or self.predictions.rstrip("/") + ".scorer"


CHANGES_NO_SCORE = frozenset(
    {
        *("listings", "partition", "bundle", "bundle_key", "bundle_digest", "predictions", "quarantine", "state"),
        *("require_partition", "gates", "force", "single_writer", "grace_seconds", "speed", "costs", "page"),
        *("lineage", "telemetry"),
    }
)
"""Settings outside the fingerprint: places (units and bundle carry digests of their own) and speed."""


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


class TrainJob(Settings):
    """One training job: which listings, which target, where the bundle goes."""

    listings: str
    """Folder or S3 prefix of the partitions; or one partition; or one Parquet file."""

    target: str
    """The column to predict: a number, known for every listing used in training (rows without it are left out)."""

    bundle: str
    """Folder or S3 prefix to write the bundle to."""

    partitions: tuple[str, ...] = ()
    """Partition keys to train on; by default all."""

    features: tuple[str, ...] = ()
    """Feature columns, in order; by default every column but id, target, images and partition keys."""

    exclude: tuple[str, ...] = ()
    """Columns to leave out of the default features."""

    group: str | None = None
    """A column whose rows stay on one side of the split, besides listings that share an image."""

    name: str | None = None
    """Name of the bundle; by default the target's."""

    version: str | None = None
    """Version of the bundle; by default a digest of its content."""

    recipe: str = "small"
    """Which towers with which sizes; see `scorer.training.recipes`."""

    fusion: str = "concat"
    """How numbers and images meet; see `scorer.model.fusions`."""

    image_size: int = Field(64, ge=8, le=1024)
    """Side of the square that images are resized to, in pixels."""

    image_filter: Literal["area", "bilinear", "nearest"] = "area"
    """Filter of the resize; the bundle carries it, scoring uses the same."""

    image_decode: Literal["scaled", "full"] = "scaled"
    """JPEG decoding at the scale that is needed (fast), or in full."""

    image_scaling: Literal["0..1", "-1..1"] = "0..1"
    """What pixel values the image tower sees."""

    max_images: int = Field(8, gt=0)
    """Images used per listing, the first ones. Scoring does the same."""

    scaler: Literal["standard", "minmax"] = "standard"
    """scikit-learn scaler of the numeric features."""

    max_categories: int = Field(64, gt=0)
    """Most frequent values kept per categorical column; rarer ones count as unseen."""

    target_transform: Literal["auto", "identity", "log"] = "auto"
    """auto: log where every target is positive and the skewness is above 1."""

    augmentation: tuple[str, ...] = ("flip",)
    """Keras layers applied to the images while training; see `scorer.training.augmentation`."""

    image_dropout: Share = 0.1
    """Share of listings that train without their images, so that missing images degrade gently."""

    validation_share: Share = 0.15
    """Share of the groups that decide when to stop."""

    test_share: Share = 0.15
    """Share of the groups that the reported metrics are measured on; never trained on."""

    epochs: int = Field(60, gt=0)
    """Most passes over the training split."""

    patience: int = Field(8, gt=0)
    """Passes without a better validation loss before training stops."""

    batch_rows: int = Field(32, gt=0)
    """Listings per training step."""

    learning_rate: float = Field(1e-3, gt=0)
    """Of Adam."""

    seed: int = 0
    """Of splits, weights, shuffling and augmentation."""

    images: ImageLimits = ImageLimits()
    """Limits on each image."""

    sources: ImageSources = ImageSources()
    """Where images may come from."""

    speed: Speed = Speed()
    """Concurrency of reading the images."""


Model = TypeVar("Model", bound=Settings)


def load(
    kind: type[Model],
    *,
    file: Path | None = None,
    environ: Mapping[str, str] = os.environ,
    flags: Mapping[str, Any] | None = None,
    besides: type[Settings] | None = None,
) -> Model:
    """Settings of the given kind from a YAML file, the environment and flags, the later the stronger.

    Args:
        kind: the settings class.
        file: YAML; nested as the class is.
        environ: `SCORER_LISTINGS=...`, nested by two underscores: `SCORER_SPEED__BATCH_IMAGES=128`.
        flags: by dotted name, `{"speed.batch_images": "128"}`; None values are skipped.
        besides: settings of this class are passed over, so that one file or environment serves two commands.

    Raises:
        SettingsError: naming each setting that is unknown or malformed, and where it came from.
    """
    merged: dict[str, Any] = {}
    _merge(merged, _from_file(file) if file else {})
    for name, text in environ.items():
        if name.startswith(ENVIRONMENT_PREFIX):
            _put(merged, name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__"), _parsed(text))
    for name, value in (flags or {}).items():
        if value is not None:
            _put(merged, name.split("."), _parsed(value) if isinstance(value, str) else value)
    if besides is not None:
        passed_over = besides.model_fields.keys() - kind.model_fields.keys()
        merged = {name: value for name, value in merged.items() if name not in passed_over}
    try:
        return kind.model_validate(merged)
    except ValidationError as error:
        raise SettingsError(_explain(kind, error)) from None


def _from_file(file: Path) -> dict[str, Any]:
    import yaml

    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError(f"The settings file {file} cannot be read: {error}. Nothing was started.") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise SettingsError(f"The settings file {file} must hold names and values, not a {type(values).__name__}.")
    return values


def _merge(into: dict[str, Any], values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        inner = into.get(name)
        if isinstance(value, dict) and isinstance(inner, dict):
            _merge(inner, value)
        else:
            into[name] = value


def _put(into: dict[str, Any], path: list[str], value: Any) -> None:
    for step in path[:-1]:
        inner = into.get(step)
        if not isinstance(inner, dict):
            inner = into[step] = {}
        into = inner
    into[path[-1]] = value


def _parsed(text: str) -> Any:
    """A JSON list stays a list (`["a","b"]`); everything else is a string, which pydantic turns into its type."""
    if text.startswith("["):
        try:
            return json.loads(text)
        except json.JSONDecodeError:
            return text
    return text


def _explain(kind: type[Settings], error: ValidationError) -> str:
    problems: dict[str, list[str]] = {}
    for problem in error.errors(include_url=False):
        path = problem["loc"]
        group, name = _group(kind, path)
        if problem["type"] == "extra_forbidden":
            said = f"unknown setting. Known here: {', '.join(sorted(group.model_fields))}."
            name = ".".join(str(step) for step in path)
        elif problem["type"] == "missing":
            said = "required, but not given."
        else:
            given = re.sub(r"//[^/@]*@", "//...@", str(problem["input"])[:80])  # a password in a URL
            said = f"{problem['msg']} (got {given!r})."
        problems.setdefault(name, []).append(said)
    lines = [f"  {name}: {' Or: '.join(said)}" for name, said in problems.items()]
    return "\n".join([f"The settings do not fit ({kind.__name__}). Nothing was started.", *lines])


def _group(kind: type[Settings], path: tuple[int | str, ...]) -> tuple[type[Settings], str]:
    """The group that a problem is in, and the setting's dotted name without what pydantic adds for alternatives."""
    names = []
    for step in path:
        if str(step) not in kind.model_fields:
            break
        names.append(str(step))
        annotation = kind.model_fields[str(step)].annotation
        if not (isinstance(annotation, type) and issubclass(annotation, Settings)):
            break
        kind = annotation
    return kind, ".".join(names) or ".".join(str(step) for step in path)
