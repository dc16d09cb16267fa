"""A run as OpenLineage events: what each one says, from the account of the run."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from scorer.contracts import built_in
from scorer.output import predictions
from scorer.output.manifest import versions
from scorer.run.observers import Account
from scorer.run.observing import facets
from scorer.run.observing.facets import PRODUCER, Json, facet, named
from scorer.run.start import Start
from scorer.settings import Lineage
from scorer.tables import TableName, is_table
from scorer.telemetry import Progress

State = Literal["START", "RUNNING", "COMPLETE", "FAIL", "ABORT"]

SPEC = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/"


@dataclass(frozen=True)
class Parent:
    """The run that started ours, and the one that started all."""

    namespace: str
    job: str
    run: str

    @classmethod
    def read(cls, text: str) -> "Parent":
        """From NAMESPACE/JOB/RUN_ID, as Airflow's macro lineage_parent_id writes it; a namespace may hold slashes.

        Raises:
            ValueError: it is not of this form, or RUN_ID is no UUID.
        """
        namespace, job, run = text.rsplit("/", 2)
        return cls(namespace, job, str(uuid.UUID(run)))

    def named(self) -> Json:
        """As OpenLineage writes it."""
        return {"run": {"runId": self.run}, "job": {"namespace": self.namespace, "name": self.job}}


@dataclass(frozen=True)
class Identity:
    """The same in every event of one start of a run.

    Attributes:
        run: UUID.
        settings: name and namespace of the job.
        parent: who started it, or None.
        root: who started that one, or None.
    """

    run: str
    settings: Lineage
    parent: Parent | None = None
    root: Parent | None = None


def run_uuid(start: Start) -> str:
    """The OpenLineage run of one start: the same for whoever knows run_id and start."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"scorer:{start.plan.run_id}:{start.token}"))


def event(state: State, when: datetime, account: Account, identity: Identity) -> Json:
    """One event about a run as it stands."""
    settings = identity.settings
    kind = facet("JobTypeJobFacet", processingType="BATCH", integration="SCORER", jobType="JOB")
    return {
        "eventType": state,
        "eventTime": when.isoformat(),
        "producer": PRODUCER,
        "schemaURL": SPEC + "RunEvent",
        "run": {"runId": identity.run, "facets": _run_facets(state, account, identity)},
        "job": {"namespace": settings.namespace, "name": settings.name, "facets": {"jobType": kind}},
        "inputs": _inputs(account),
        "outputs": _outputs(account, published=state == "COMPLETE"),
    }


def _run_facets(state: State, account: Account, identity: Identity) -> Json:
    found: Json = {"processing_engine": _engine(), "tags": facet("TagsRunFacet", tags=_tags(account))}
    if identity.parent is not None:
        root = {"root": identity.root.named()} if identity.root is not None else {}
        found["parent"] = facet("ParentRunFacet", **identity.parent.named(), **root)
    if state in ("FAIL", "ABORT"):
        found["errorMessage"] = facet("ErrorMessageRunFacet", message=account.error, programmingLanguage="PYTHON")
    if state == "RUNNING" and account.tools.reporter.under_way is not None:
        found["scorer_progress"] = _progress(account.tools.reporter.under_way)
    return found


def _engine() -> Json:
    installed = versions()
    return facet(
        "ProcessingEngineRunFacet",
        name="TensorFlow",
        version=installed["tensorflow"],
        openlineageAdapterVersion=installed["scorer"],
    )


def _tags(account: Account) -> list[Json]:
    tags = {"outcome": account.outcome, "exit_code": str(account.exit_code)} if account.ended else {}
    if account.start is not None:
        tags |= {"run_id": account.start.plan.run_id, "start": account.start.token}
        tags |= {"partition": account.start.plan.partition, "bundle": account.start.checked.bundle.digest}
    elif account.job.partition is not None:
        tags["partition"] = account.job.partition
    return [{"key": key, "value": value, "source": "SCORER"} for key, value in tags.items()]


def _progress(progress: Progress) -> Json:
    """A facet of our own: the standard ones say nothing of work under way."""
    figures = {"rows": progress.rows, "totalRows": progress.total, "images": progress.images}
    return {"_producer": PRODUCER, "_schemaURL": SPEC + "RunFacet", **figures, "degraded": progress.degraded}


def _dataset(uri: str, **content: Json) -> Json:
    namespace, name = named(uri)
    return {"namespace": namespace, "name": name, **content}


def _inputs(account: Account) -> list[Json]:
    start = account.start
    if start is None:  # it ended before it knew more than the settings
        return [_dataset(account.job.listings), _dataset(account.job.bundle)]
    manifest, bundle = account.manifest, start.checked.bundle
    found = {"inputStatistics": facets.read(start), **facets.subset("input", start.plan.partition)}
    if manifest is not None:
        found["dataQualityMetrics"] = facets.input_quality(manifest)
    place, columns = start.checked.partition.place, {"schema": facets.schema(start.checked.partition.schemas[0])}
    if is_table(place):
        snapshot = str(TableName.parse(place).snapshot)
        columns["version"] = facet("DatasetVersionDatasetFacet", datasetVersion=snapshot)
    version = {"version": facet("DatasetVersionDatasetFacet", datasetVersion=bundle.digest)}
    return [
        _dataset(facets.listings_root(start), facets=columns, inputFacets=found),
        _dataset(bundle.uri, facets=version),
    ]


def _outputs(account: Account, published: bool) -> list[Json]:
    """Predictions and quarantine; with figures where they were published."""
    job, start = account.job, account.start
    if start is None:
        return []
    manifest = account.manifest if published else None
    shapes = {"predictions": predictions.schema(start.checked.bundle.columns)}
    shapes["quarantine"] = built_in("quarantine").arrow_schema()
    lineage = {"predictions": facets.predictions_lineage(start), "quarantine": facets.quarantine_lineage(start)}
    places: Mapping[str, str] = {
        "predictions": job.sink if is_table(job.sink) else job.predictions,
        "quarantine": job.quarantine_uri,
    }
    found = []
    for kind, place in places.items():
        about = {"schema": facets.schema(shapes[kind]), "columnLineage": lineage[kind]}
        wrote = facets.subset("output", start.plan.partition)
        if manifest is not None:
            judged = facets.predictions_quality if kind == "predictions" else facets.quarantine_quality
            about["dataQualityMetrics"] = judged(manifest)
            about["version"] = facet("DatasetVersionDatasetFacet", datasetVersion=manifest.run_id)
            wrote["outputStatistics"] = facets.written(getattr(manifest, kind))
        found.append(_dataset(place, facets=about, outputFacets=wrote))
    return found
