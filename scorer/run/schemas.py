"""The JSON Schemas in schemas/, generated from the classes: `python -m scorer.run.schemas` writes them."""

import json
import sys
from pathlib import Path

from scorer.output.manifest import RunManifest
from scorer.settings import CreateJob, Job, Settings, TrainJob

KINDS: dict[str, type[Settings]] = {
    "job.schema.json": Job,
    "train_job.schema.json": TrainJob,
    "create_job.schema.json": CreateJob,
    "run_manifest.schema.json": RunManifest,
}


def generated() -> dict[str, str]:
    """File name -> JSON Schema."""
    return {name: _schema(kind) for name, kind in KINDS.items()}


def _schema(kind: type[Settings]) -> str:
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **kind.model_json_schema()}
    return json.dumps(schema, indent=2) + "\n"


if __name__ == "__main__":
    for file_name, text in generated().items():
        (Path(sys.argv[1]) / file_name).write_text(text, encoding="utf-8")
