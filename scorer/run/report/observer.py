"""Writes the page of a run, and its entry in the journal, when the run is over."""

import re
import secrets

from scorer.errors import SettingsError
from scorer.objectstore import ObjectStore, join
from scorer.objectstore.retry import Patience
from scorer.pages.words import withheld
from scorer.run.observers import Account
from scorer.run.report import journal
from scorer.run.report.content import Content, bundle_rows, content, run_rows
from scorer.run.report.journal import Entry, Moved
from scorer.run.report.render import render
from scorer.run.report.watch import Watch

STEP = re.compile(r"^[^=/\\]+=[^/\\]+$")
"""A step of a partition key that may become part of a path."""


class RunPage:
    """Observer: one HTML file for every run that published, was refused or failed, and one line in the journal.

    A run that failed for its settings gets neither: where its state lies is one of them. Nor does one that found
    nothing to do.
    """

    patience = 60.0

    def __init__(self, gallery: int) -> None:
        """`gallery` is the number of listings shown of each kind; 0: none, and no image is fetched."""
        self._gallery = gallery
        self._watch: Watch | None = None
        self.uri = ""
        """Where the page lies, once it is written."""

    def started(self, account: Account) -> None:
        """The plan stands."""
        self._watch = Watch(account.tools.stages)
        self._watch.follow()

    def ended(self, account: Account) -> None:
        """The run is over."""
        samples = self._watch.end() if self._watch else ()
        if account.outcome not in ("published", "refused", "failed"):
            return
        if account.start is None and account.exit_code == SettingsError.exit_code:
            return
        page = content(account, samples, self._gallery)
        store = _store(account)
        self.uri = place(account)
        store.put(self.uri, html(page).encode())
        journal.write(entry(page, self.uri), account.job.state_uri, store)
        account.tools.reporter.event("page", f"The page of this run: {self.uri}", page=self.uri)


def html(page: Content) -> str:
    """The page as one text."""
    flows = [flow for flow in (page.rows, page.images) if flow is not None]
    plots = {"score-plot": page.scores.histogram} if page.scores and page.scores.histogram else {}
    return render("run.html", flows, plots, page=page, run_rows=run_rows(page), bundle_rows=bundle_rows(page))


def place(account: Account) -> str:
    """Beside the manifest of its start; below `reports` of the partition where there was no plan yet."""
    if account.start is not None:
        return join(account.start.staged_folder, "report.html")
    key = account.job.partition or ""
    steps = key.split("/") if key else []
    inside = all(STEP.match(step) and ".." not in step and step.isprintable() for step in steps)
    ended = account.ended or account.began
    name = f"{ended:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}.html"
    return join(account.job.state_uri, *(steps if inside else ()), "reports", name)


def entry(page: Content, uri: str) -> Entry:
    """What the series of runs keeps of this one."""
    account, manifest = page.account, page.manifest
    assert account.outcome in ("published", "refused", "failed")
    scores = manifest.distributions.scores if manifest else None
    effect = page.scores.effect if page.scores else None
    return Entry(
        run_id=page.run_id,
        start=account.start.token if account.start else "",
        partition=account.start.plan.partition if account.start else account.job.partition or "",
        outcome=account.outcome,
        exit_code=account.exit_code,
        error=withheld(account.error)[: journal.LONGEST_ERROR],
        began=account.began,
        ended=account.ended or account.began,
        counts=manifest.counts.model_copy(update={"examples": ()}) if manifest else None,
        images_per_s=manifest.profile.images_per_s if manifest else 0.0,
        cpu_ms_per_image=manifest.profile.cpu_ms_per_image if manifest else 0.0,
        cores=manifest.profile.cores if manifest else 0,
        units=manifest.units if manifest else 0,
        units_done_earlier=manifest.units_done_earlier if manifest else 0,
        price_per_hour=account.job.costs.price_per_hour,
        currency=account.job.costs.currency,
        bundle=page.bundle,
        gates={verdict.gate: verdict.status for verdict in page.gates},
        score_mean=scores.mean if scores else None,
        score_deviation=scores.deviation if scores else None,
        drift={row.name: Moved(psi=row.effect.psi, noise=row.effect.psi_noise) for row in page.features[:50]},
        score_shift=Moved(psi=effect.psi, noise=effect.psi_noise) if effect else None,
        versions=page.versions,
        page=uri,
    )


def _store(account: Account) -> ObjectStore:
    """The run's own; where the run failed, perhaps for its store, one that gives up after a second or two."""
    if account.outcome == "published":
        return account.tools.store
    return ObjectStore(account.tools.store.concurrency, Patience(attempts=3))
