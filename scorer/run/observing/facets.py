"""What OpenLineage says of a dataset, facet by facet (openlineage.io/spec). Written as plain JSON.

Its Python client would bring three HTTP stacks along and, when asked for an event, run git and read files of the
working folder; what is needed of it here are the names below.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from scorer.objectstore import canonical, parse
from scorer.output.manifest import OutputFile, RunManifest, versions
from scorer.run.start import Start
from scorer.tables import SCHEME, TableName, is_table

Json = dict[str, Any]

PRODUCER = f"pkg:pypi/scorer@{versions()['scorer']}"
"""A package URL: who made an event."""

VERSIONS: Mapping[str, str] = {
    "ColumnLineageDatasetFacet": "1-2-0",
    "DataQualityMetricsDatasetFacet": "1-0-1",
    "DataQualityMetricsInputDatasetFacet": "1-0-3",
    "DatasetVersionDatasetFacet": "1-0-1",
    "ErrorMessageRunFacet": "1-0-1",
    "InputStatisticsInputDatasetFacet": "1-0-0",
    "JobTypeJobFacet": "2-0-4",
    "OutputStatisticsOutputDatasetFacet": "1-0-2",
    "ParentRunFacet": "1-2-0",
    "ProcessingEngineRunFacet": "1-1-1",
    "SchemaDatasetFacet": "1-2-0",
    "TagsRunFacet": "1-0-0",
}
"""Facet -> the version of its schema."""

SUBSETS = {"input": "InputSubsetInputDatasetFacet", "output": "OutputSubsetOutputDatasetFacet"}
SUBSET_VERSION = "1-0-0"

IDENTITY = {"type": "DIRECT", "subtype": "IDENTITY"}
COMPUTED = {"type": "DIRECT", "subtype": "TRANSFORMATION"}
CONDITION = {"type": "INDIRECT", "subtype": "CONDITIONAL"}
"""How one column comes from another."""


def facet(kind: str, **content: Any) -> Json:
    """One facet, with the address of its schema."""
    schema = f"https://openlineage.io/spec/facets/{VERSIONS[kind]}/{kind}.json#/$defs/{kind}"
    return {"_producer": PRODUCER, "_schemaURL": schema, **content}


def named(uri: str) -> tuple[str, str]:
    """Namespace and name by OpenLineage's naming: s3://BUCKET and the key; file and the path; a table's catalog."""
    if is_table(uri):
        table = TableName.parse(uri)
        return f"{SCHEME}{table.catalog}", ".".join(table.identifier)
    place = parse(canonical(uri))
    return (f"s3://{place.bucket}", place.key) if place.bucket else ("file", place.key)


def schema(columns: pa.Schema) -> Json:
    """Names and types of the columns."""
    return facet("SchemaDatasetFacet", fields=[{"name": field.name, "type": str(field.type)} for field in columns])


def subset(direction: str, partition: str) -> Json:
    """Which partition of a dataset is meant. Empty where it has none."""
    if not partition:
        return {}
    steps = dict(step.split("=", 1) for step in partition.split("/"))
    kind = SUBSETS[direction]
    address = f"https://openlineage.io/spec/facets/{SUBSET_VERSION}/BaseSubsetDatasetFacet.json#/$defs/{kind}"
    condition = {"type": "partition", "partitions": [{"identifier": partition, "dimensions": steps}]}
    return {"subset": {"_producer": PRODUCER, "_schemaURL": address, f"{direction}Condition": condition}}


def read(start: Start) -> Json:
    """Rows, bytes and files of the input."""
    files = start.checked.partition.files
    size = sum(file.size for file in files)
    return facet("InputStatisticsInputDatasetFacet", rowCount=start.plan.rows, size=size, fileCount=len(files))


def written(files: Iterable[OutputFile]) -> Json:
    """Rows, bytes and files of an output."""
    every = tuple(files)
    rows, size = sum(file.rows for file in every), sum(file.bytes for file in every)
    return facet("OutputStatisticsOutputDatasetFacet", rowCount=rows, size=size, fileCount=len(every))


def input_quality(manifest: RunManifest) -> Json:
    """Rows read, and the nulls among ids and features."""
    counts = manifest.counts
    nulls = {name: column.missing for name, column in manifest.distributions.features.items()}
    nulls["listing_id"] = counts.quarantine_reasons.get("id_missing", 0)
    columns = {name: {"nullCount": count} for name, count in sorted(nulls.items())}
    return facet("DataQualityMetricsInputDatasetFacet", rowCount=counts.rows_in, columnMetrics=columns)


def predictions_quality(manifest: RunManifest) -> Json:
    """Rows written, the nulls among predictions, and what the predictions span."""
    counts, scores = manifest.counts, manifest.distributions.scores
    spans = {"min": scores.minimum, "max": scores.maximum}
    prediction = {
        "nullCount": counts.failed,
        "count": counts.scored + counts.degraded,
        **{name: value for name, value in spans.items() if value is not None},
    }
    columns = {"listing_id": {"nullCount": 0, "distinctCount": counts.predicted}, "prediction": prediction}
    return facet("DataQualityMetricsDatasetFacet", rowCount=counts.predicted, columnMetrics=columns)


def quarantine_quality(manifest: RunManifest) -> Json:
    """Rows refused, and how many of them have no id."""
    refused = manifest.counts.quarantine_reasons
    columns = {"listing_id": {"nullCount": refused.get("id_missing", 0)}}
    return facet("DataQualityMetricsDatasetFacet", rowCount=manifest.counts.quarantined, columnMetrics=columns)


def predictions_lineage(start: Start) -> Json:
    """Which columns of the listings each column of the predictions comes from."""
    bundle = start.checked.bundle
    features, images = list(bundle.preprocessing.names), ["image_uris"]
    everything = [*features, *images]
    scores = ["prediction", *(f"prediction_{name}" for name in bundle.columns if name != "prediction")]
    scores += ["prediction_low", "prediction_high", "prediction_class", "image_effect"]
    return _lineage(
        start,
        {
            "listing_id": (["listing_id"], IDENTITY),
            "status": (everything, CONDITION),
            "reasons": (everything, CONDITION),
            "images_given": (images, COMPUTED),
            "images_used": (images, COMPUTED),
            "input_fingerprint": (everything, COMPUTED),
            **dict.fromkeys(scores, (everything, COMPUTED)),
        },
    )


def quarantine_lineage(start: Start) -> Json:
    """Which columns of the listings each column of the quarantine comes from."""
    contract = start.checked.contract
    judged = list(dict.fromkeys(["listing_id", *(column.name for column in (contract.columns if contract else ()))]))
    return _lineage(
        start,
        {
            "listing_id": (["listing_id"], IDENTITY),
            "reason": (judged, CONDITION),
            "detail": (judged, COMPUTED),
            "row_json": (list(start.checked.columns), COMPUTED),
        },
    )


def _lineage(start: Start, origins: Mapping[str, tuple[list[str], Mapping[str, str]]]) -> Json:
    namespace, name = named(listings_root(start))
    fields = {
        column: {
            "inputFields": [
                {"namespace": namespace, "name": name, "field": field, "transformations": [dict(how)]}
                for field in columns
            ]
        }
        for column, (columns, how) in origins.items()
    }
    return facet("ColumnLineageDatasetFacet", fields=fields)


def listings_root(start: Start) -> str:
    """The dataset of all partitions, whatever the job names of it: a partition, a file."""
    partition = start.checked.partition
    if is_table(partition.place):
        return partition.place
    folder = partition.place.rpartition("/")[0] if partition.place.endswith(".parquet") else partition.place
    return folder.removesuffix("/" + partition.key) if partition.key else folder
