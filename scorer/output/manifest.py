"""The account of a run: what came in, what went out, what it was made with."""

from dataclasses import dataclass
from datetime import datetime
from importlib import metadata
from typing import Any, Literal

from scorer.output.distribution import Distributions
from scorer.output.gates.verdict import Verdict
from scorer.output.profile import Profile
from scorer.output.tally import Tally
from scorer.settings import Settings

PACKAGES = ("scorer", "tensorflow", "keras", "numpy", "pyarrow", "simplejpeg", "opencv-python-headless", "pillow")
"""Packages whose version can change a score."""


class BundleRef(Settings):
    """Which bundle."""

    uri: str
    name: str
    version: str
    digest: str


class OutputFile(Settings):
    """One staged object and the place where readers list it."""

    uri: str
    """Where it lies in the state; never changed after it was published."""
    listed: str
    """Where readers that list the prefix find its copy."""
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Staged:
    """What a run would publish: whole files in a folder of this start's own, which no reader knows yet."""

    folder: str
    predictions: tuple[OutputFile, ...]
    quarantine: tuple[OutputFile, ...]


class Expected(Settings):
    """What a run that takes over from earlier ones found before it fetched an image: of the units it had to do."""

    rows: int
    """Rows that are not refused."""
    rows_carried: int
    """Of these, how many are unchanged and carried forward."""
    images: int
    """Distinct images, per unit."""
    images_known: int
    """Of these, how many need not be fetched."""
    earlier: str | None = None
    """Partition that rows are carried forward from."""
    seconds: float | None = None
    """That the whole run would take; None without past runs to tell from."""


class RunManifest(Settings):
    """The account of one run over one partition. Written before the run is published, never changed afterwards."""

    format: Literal[1] = 1
    outcome: Literal["published", "refused"] = "published"
    """refused: a gate failed. Readers never saw the files."""
    run_id: str
    start: str
    """Which start of the run staged the published files."""
    partition: str
    listings: str
    plan_digest: str
    bundle: BundleRef
    counts: Tally
    predictions: tuple[OutputFile, ...]
    quarantine: tuple[OutputFile, ...]
    sink: str = "parquet"
    """Where readers find the predictions: as listed files, or in the table iceberg:CATALOG.NAMESPACE.TABLE."""
    units: int
    """Work units of the plan."""
    units_done_earlier: int
    """Units that this start found finished: by an earlier, interrupted one, or by other shards."""
    started_at: datetime
    finished_at: datetime
    seconds: float
    """Of this start of the run, up to the manifest."""
    stages: dict[str, dict[str, float]]
    """Stage -> wall_s and cpu_s summed over its threads, and items."""
    profile: Profile
    """What the images cost in this start, and what set the pace."""
    settings: dict[str, Any]
    versions: dict[str, str]
    warnings: tuple[str, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    """Of every gate, in the order of their table."""
    distributions: Distributions = Distributions()
    """Of features, scores and images, in the bins of the bundle's profile."""
    expected: Expected | None = None
    """What was known beforehand; None where nothing was to be taken over."""


def versions() -> dict[str, str]:
    """Installed versions of the packages that can change a score."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found
