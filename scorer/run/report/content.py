"""All that the page of a run says, put together from its account. What cannot be had is named on it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from scorer.machine import cores
from scorer.output.distribution import Distributions
from scorer.output.gates.verdict import Verdict
from scorer.output.manifest import BundleRef, RunManifest, versions
from scorer.output.reference import training
from scorer.output.tally import Fault
from scorer.pages.plots import Curve
from scorer.pages.words import moment
from scorer.run.observers import Account
from scorer.run.report import drift
from scorer.run.report.accounts import (
    StageRow,
    faults_by_reason,
    images_flow,
    rows_flow,
    settings_rows,
    stage_rows,
)
from scorer.run.report.before import LastTime, last_time
from scorer.run.report.beside import beside
from scorer.run.report.flow import Flow
from scorer.run.report.gallery import Gallery, Group, gallery
from scorer.run.report.headline import Headline, by_weight, figures, headline
from scorer.run.report.watch import Sample, cores_busy, images_a_second
from scorer.run.reuse.expectation import against

Found = TypeVar("Found")


@dataclass
class Content:
    """The page of a run, section by section; a section that is None or empty is left out.

    Attributes:
        partition: key, or the listings' place.
        run_id: empty where the run had no plan yet.
        notes: what could not be had, and why.
        beside: what stands beside the scores: intervals, the images' effect.
        last_name: of the last run, for people.
        missing_features: features that could not be compared.
        pace: images (or rows, see `pace_of`) a second, and cores at work, over the seconds since the plan stood.
    """

    account: Account
    headline: Headline
    figures: tuple[tuple[str, str], ...]
    partition: str
    run_id: str
    manifest: RunManifest | None
    settings: list[tuple[str, str]]
    versions: dict[str, str]
    stages: tuple[StageRow, ...]
    pace: Curve
    pace_of: str
    cores: Curve
    bundle: BundleRef | None = None
    gates: tuple[Verdict, ...] = ()
    rows: Flow | None = None
    images: Flow | None = None
    faults: tuple[tuple[str, int, tuple[Fault, ...]], ...] = ()
    slowest: tuple[tuple[str, float], ...] = ()
    scores: drift.Scores | None = None
    beside: tuple[str, ...] = ()
    features: tuple[drift.FeatureRow, ...] = ()
    missing_features: tuple[str, ...] = ()
    groups: tuple[Group, ...] = ()
    last_name: str = ""
    notes: list[str] = field(default_factory=list)


def content(account: Account, samples: tuple[Sample, ...], gallery_size: int) -> Content:
    """The content of a run's page.

    Args:
        account: of a run that is over.
        samples: of its pace.
        gallery_size: listings in each group of the gallery; 0: none, and no image is fetched.
    """
    start, manifest = account.start, account.manifest
    bundle = start.checked.bundle if start else None
    page = Content(
        account=account,
        headline=headline(account),
        figures=figures(account),
        partition=str(start.checked.partition) if start else account.job.partition or account.job.listings,
        run_id=start.plan.run_id if start else "",
        manifest=manifest,
        settings=settings_rows(account.job.model_dump(mode="json")),
        versions=versions(),
        stages=stage_rows(account.tools.stages.summary()),
        slowest=tuple(account.tools.stages.slowest("decode")),
        pace=images_a_second(samples),
        pace_of="images" if any(sample.images for sample in samples) else "listings",
        cores=cores_busy(samples, cores()),
        bundle=BundleRef(uri=bundle.uri, name=bundle.name, version=bundle.version, digest=bundle.digest)
        if bundle
        else None,
    )
    if start is not None and manifest is not None:
        _fill(page, manifest, gallery_size)
    return page


def _fill(page: Content, manifest: RunManifest, gallery_size: int) -> None:
    """What only a run with a manifest has."""
    start = page.account.start
    assert start is not None
    store, job, counts = start.tools.store, start.job, manifest.counts
    last = _tried(page, "The last run", lambda: last_time(job.state_uri, manifest.partition, start.token, store))
    page.last_name = last.partition or f"run {last.manifest.run_id}" if last else ""
    if last is not None and last.partition == manifest.partition:
        page.last_name = f"{manifest.partition or 'this place'} before"
    found = _tried(page, "The gallery", lambda: _gallery(page, manifest, last, gallery_size))
    page.groups = found.groups if found else ()
    page.rows = _tried(page, "The flow of rows", lambda: rows_flow(counts, found.survey.reasons if found else {}))
    page.images = _tried(page, "The flow of images", lambda: images_flow(counts))
    page.faults = faults_by_reason(counts)
    page.gates = by_weight(manifest.verdicts)
    _compare(page, manifest, last, training(start.checked.bundle.profile))
    readout = start.checked.bundle.readout
    page.beside = _tried(page, "What stands beside the scores", lambda: beside(readout, manifest.distributions)) or ()


def _compare(page: Content, manifest: RunManifest, last: LastTime | None, learned: Distributions) -> None:
    now = manifest.distributions
    before = last.manifest.distributions if last else None
    page.scores = _tried(page, "The scores", lambda: drift.scores(now, before, learned, page.last_name))
    compared = _tried(page, "Drift", lambda: drift.features(now, learned))
    page.features, page.missing_features = compared or ((), ())


def _gallery(page: Content, manifest: RunManifest, last: LastTime | None, size: int) -> Gallery:
    assert page.account.start is not None
    before = last.files if last else ()
    return gallery(page.account.start, manifest.predictions, before, page.last_name, size)


def _tried(page: Content, what: str, find: Callable[[], Found]) -> Found | None:
    """What `find` gives; where it fails, a note on the page instead: half a page in the morning beats none."""
    try:
        return find()
    except Exception as error:  # of readers, decoders, stores: whatever it is, it costs one section and no page
        page.notes.append(f"{what} could not be had: {type(error).__name__}: {error}")
        return None


def run_rows(page: Content) -> list[tuple[str, str]]:
    """The run in names and times."""
    manifest, account = page.manifest, page.account
    units = f"{manifest.units:,}" if manifest else "–"
    if manifest and manifest.units_done_earlier:
        units += f", {manifest.units_done_earlier:,} of them by other starts"
    return [
        ("run", page.run_id or "none: it ended before it had a plan"),
        ("start", account.start.token if account.start else "–"),
        ("began", moment(account.began)),
        ("ended", moment(account.ended)),
        ("exit code", str(account.exit_code)),
        ("work units", units),
        *([("taken over", against(manifest))] if manifest and manifest.expected else []),
        ("listings", manifest.listings if manifest else account.job.listings),
        ("predictions", account.job.predictions if account.job.sink == "parquet" else account.job.sink),
    ]


def bundle_rows(page: Content) -> list[tuple[str, str]]:
    """The bundle in names; empty where the run ended before it was read."""
    bundle = page.bundle
    if bundle is None:
        return []
    return [("name", bundle.name), ("version", bundle.version), ("digest", bundle.digest), ("place", bundle.uri)]
