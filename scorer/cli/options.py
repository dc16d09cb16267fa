"""Options that several commands share, and what becomes of them."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scorer.errors import SettingsError
from scorer.settings import Job, TrainJob

if TYPE_CHECKING:
    from scorer.objectstore import ObjectStore
    from scorer.run.stop import Stop
    from scorer.run.tools import Tools

Listings = Annotated[
    str | None,
    typer.Option(help="Folder or S3 prefix of partitions; or one partition, one Parquet file, or an Iceberg table."),
]
Bundle = Annotated[str | None, typer.Option(help="Folder or S3 prefix of the bundle.")]
Predictions = Annotated[str | None, typer.Option(help="Folder or S3 prefix to publish under.")]
Quarantine = Annotated[str | None, typer.Option(help="Where refused rows go.  [default: PREDICTIONS.quarantine]")]
State = Annotated[str | None, typer.Option(help="Plans, staged files, manifests.  [default: PREDICTIONS.scorer]")]
Partition = Annotated[str | None, typer.Option(help="Which partition, for instance ds=2026-11-24.")]
SingleWriter = Annotated[
    bool | None, typer.Option("--single-writer", help="Nobody else publishes there meanwhile; see the settings.")
]
File = Annotated[Path | None, typer.Option("--job", help="YAML file of settings; flags and environment win over it.")]
Set = Annotated[
    list[str] | None, typer.Option("--set", help="Any other setting: --set speed.batch_images=128. May be repeated.")
]

NOWHERE = str(Path(tempfile.gettempdir(), "scorer-publishes-nothing"))
"""Predictions of a command that publishes none: the job's settings want a place all the same."""

PLACES = ("state", "quarantine")
"""Settings beside it, for which such a command has no use either."""


def named(settings: list[str] | None, **flags: Any) -> dict[str, Any]:
    """All flags of a command that are settings, and `--set NAME=VALUE`, which is the stronger, by dotted name.

    Raises:
        SettingsError: a text without `=`.
    """
    for text in settings or ():
        name, separator, value = text.partition("=")
        if not separator:
            raise SettingsError(f"--set {text!r} is not NAME=VALUE, for instance speed.batch_images=128.")
        flags[name.strip()] = value
    return flags


def store_for(job: Job | TrainJob) -> "ObjectStore":
    """With as many connections as the job fetches images at a time."""
    from scorer.objectstore import ObjectStore

    return ObjectStore(job.speed.fetch_concurrency)


def plain_store() -> "ObjectStore":
    """For commands that fetch no images."""
    from scorer.objectstore import ObjectStore

    return ObjectStore()


def tools_for(job: Job, stop: "Stop") -> "Tools":
    """The tools of a run that `stop` can end."""
    from scorer.run.tools import Tools

    stop.grace_seconds = job.grace_seconds
    return Tools(store_for(job), stop=stop)


def places(predictions: str | None, state: str | None, partition: str | None) -> dict[str, Any]:
    """The flags of commands that look after what was published."""
    return {"predictions": predictions, "state": state, "partition": partition}


def print_table(lines: list[dict[str, str]]) -> None:
    """Columns as wide as their widest cell."""
    names = list(lines[0])
    widths = {name: max(len(name), *(len(line[name]) for line in lines)) for name in names}
    for cells in ({name: name for name in names}, *lines):
        typer.echo("  ".join(cells[name].ljust(widths[name]) for name in names).rstrip())
