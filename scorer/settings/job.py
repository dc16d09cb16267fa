"""One scoring job and its parts."""

import hashlib
import json
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from scorer.settings.base import Settings
from scorer.settings.gates import Gates
from scorer.settings.observing import Lineage, Page, Telemetry
from scorer.settings.reuse import Embeddings, EmbeddingType, Reuse
from scorer.settings.spreading import Engine, Ray, Shard

Precision = Literal["float32", "bfloat16", "float16"]
"""Of the image tower's and the head's arithmetic."""


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
    """Images per forward pass of the image tower. auto: the fastest on this machine, measured when the plan is made. A
    number also holds for a run that goes on with an earlier plan."""

    batch_rows: int = Field(1024, gt=0)
    """Rows per forward pass of the head."""

    fetch_concurrency: int = Field(32, gt=0)
    """Image requests in flight at the object store. Local files are read by the decoding threads."""

    decode_threads: int = Field(0, ge=0)
    """Threads that decode and resize; 0: one per core that the container may use."""

    buffered_batches: int = Field(3, gt=0)
    """Batches of images fetched ahead of the forward pass; more of small ones, so that every connection has work.
    Bounds the memory."""


class Costs(Settings):
    """What a machine costs, for estimates in money beside those in minutes."""

    price_per_hour: float | None = Field(None, ge=0.0, allow_inf_nan=False)
    """Price of one hour of the machine that the job runs on. Without it no cost is shown."""

    currency: str = Field("", max_length=8)
    """Shown behind every cost, for instance EUR."""


class Job(Settings):
    """One scoring job: which listings, by which bundle, where to."""

    listings: str
    """Folder or S3 prefix of the partitions; or one partition; or one Parquet file; or an Iceberg table,
    iceberg:CATALOG.NAMESPACE.TABLE, read as it is or, with @SNAPSHOT, as it was."""

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

    sink: Annotated[str, Field(pattern=r"^(parquet|iceberg:[\w-]+(\.[\w-]+){2,})$")] = "parquet"
    """Where readers find the predictions. parquet: as files below `predictions`; iceberg:CATALOG.NAMESPACE.TABLE: in a
    table that is made if it is not there, by a catalog that pyiceberg's own configuration names. Another sink is other
    work: nights are scored again. Needs the extra `iceberg`."""

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

    engine: Engine = "local"
    """Who scores the work units: local, this process alone; or ray, the workers of a Ray cluster."""

    shard: str | None = None
    """0/3, 1/3, 2/3: score one of three equal shares of the work units and no other; the last to finish publishes."""

    requests_together: int = Field(1024, gt=0)
    """Image requests in flight of all shards, or of all workers of a cluster. Each has an equal share of them, at most
    speed.fetch_concurrency: a hundred machines that ask as if each were alone get a bucket throttled."""

    precision: Precision = "float32"
    """float32; or 16 bits where the machine has them, faster, which moves scores by some percent of their deviation:
    bfloat16 on CPUs, float16 on GPUs."""

    reuse: Reuse = "none"
    """What to take over from earlier runs. embeddings: of images that are known. rows: also the predictions of listings
    whose features and images are as they were, by the same bundle; they are marked in carried_from_run."""

    reuse_from: str | None = None
    """The published partition that rows are carried forward from; by default the latest earlier one by this bundle."""

    audit_reuse: float = Field(0.0, ge=0.0, le=1.0)
    """Share of the rows and embeddings taken over that is computed anew all the same. If one of them differs by more
    than the tolerance, nothing is published (exit 4)."""

    embeddings: Embeddings = Embeddings()
    """The store of embeddings, where `reuse` is not none."""

    ray: Ray = Ray()
    """The Ray cluster, where `engine` is ray."""

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

    @field_validator("shard")
    @classmethod
    def _is_a_shard(cls, text: str | None) -> str | None:
        return None if text is None else str(Shard.read(text))

    @model_validator(mode="after")
    def _rows_are_known_before_they_are_fetched(self) -> Self:
        if self.reuse == "rows" and self.embeddings.identity == "content":
            raise ValueError(
                "reuse: rows needs embeddings.identity etag or uri. With content an image is known only after it was"
                " fetched; reuse: embeddings then spares its decoding and its forward pass"
            )
        return self

    @model_validator(mode="after")
    def _is_spread_one_way(self) -> Self:
        if self.engine == "ray" and self.shard:
            raise ValueError("shard and engine: ray both spread the work units; take one of them")
        return self

    def fingerprint(self) -> str:
        """SHA-256 over every setting that can change a score or the rows written.

        Places and settings of speed stay outside. A setting missing from `CHANGES_NO_SCORE` costs one needless
        re-score; the other way round would serve stale scores.
        """
        # A contract is named by its place; the caller adds its content (see run/plan.py).
        return self._digest(CHANGES_NO_SCORE)

    def row_fingerprint(self) -> str:
        """SHA-256 over every setting that can change the prediction of a row that is not refused."""
        return self._digest(CHANGES_NO_SCORE | CHANGES_NO_ROW)

    def _digest(self, outside: frozenset[str]) -> str:
        values = self.model_dump(mode="json", exclude=set(outside))
        if self.embedding_type == "float16":
            values["embeddings"] = "float16"
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()

    @property
    def share(self) -> Shard | None:
        """Which share of the work units is this process's; None: all are."""
        return None if self.shard is None else Shard.read(self.shard)

    def speed_of_one(self, parts: int) -> Speed:
        """The speed of one of so many processes at work: as if it were alone, but for its share of the requests."""
        share = min(self.speed.fetch_concurrency, max(1, self.requests_together // parts))
        return self.speed.model_copy(update={"fetch_concurrency": share})

    @property
    def embedding_type(self) -> EmbeddingType:
        """What embeddings are rounded to before they enter a score."""
        return "float32" if self.reuse == "none" else self.embeddings.dtype

    @property
    def embeddings_uri(self) -> str:
        """Where embeddings are kept."""
        return self.embeddings.uri or self.predictions.rstrip("/") + ".embeddings"

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
        *("require_partition", "gates", "force", "single_writer", "grace_seconds", "engine", "ray", "shard"),
        *("requests_together", "speed", "costs", "page", "lineage", "telemetry"),
        *("reuse", "reuse_from", "audit_reuse", "embeddings"),
    }
)
"""Settings outside the fingerprint: places (units and bundle carry digests of their own) and speed. What is taken over
from earlier runs is what this one would compute; where it is not quite (float16), `fingerprint` says so."""

CHANGES_NO_ROW = frozenset({"contract", "rows_per_unit", "rows_per_file", "sink"})
"""Settings that decide which rows are refused, how they are cut and where they go, and no prediction."""
