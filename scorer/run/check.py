"""Settings, bundle, partition and contracts held against each other before anything is scored."""

from dataclasses import dataclass

import pyarrow as pa

from scorer.contracts import Contract, read
from scorer.errors import BundleError, ContractError, InputError, NothingToDo, SettingsError
from scorer.intake.partitions import Partition, open_partition
from scorer.intake.rows import ID, IMAGES, check_image_column, is_string
from scorer.model import signature
from scorer.model.bundle import Bundle, load_bundle
from scorer.objectstore import ObjectStore, canonical, parse
from scorer.settings import Job
from scorer.tables import TableName, is_table


@dataclass(frozen=True)
class Checked:
    """A partition, the bundle that will score it, and the contract of the listings (None: only the built-in)."""

    partition: Partition
    bundle: Bundle
    contract: Contract | None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are read, each once."""
        under_contract = [column.name for column in self.contract.columns] if self.contract else []
        return tuple(dict.fromkeys([ID, IMAGES, *self.bundle.preprocessing.names, *under_contract]))


def check(job: Job, store: ObjectStore) -> Checked:
    """Reads the bundle, the listing of the partition and the footers of its files; no image, and writes nothing.

    Raises:
        NothingToDo: no such partition, or no row in it.
        SettingsError, InputError, ContractError, BundleError: what does not fit.
    """
    return check_partition(job, *ready(job, store), store)


def ready(job: Job, store: ObjectStore) -> tuple[Bundle, Contract | None]:
    """What is the same for all partitions of a job: its bundle, and the contract of its listings.

    Raises:
        SettingsError, BundleError: what does not fit.
    """
    _check_places(job)
    contract = read(store.get(job.contract).data.decode(errors="replace"), job.contract) if job.contract else None
    bundle = load_bundle(job.bundle, store)
    if job.bundle_digest not in (None, bundle.digest):
        raise BundleError(
            f"The bundle {bundle.uri} has the digest {bundle.digest}, and bundle_digest insists on {job.bundle_digest}."
            " Nothing was scored. Put that bundle back, or name the digest of this one."
        )
    if job.bundle_key is not None:
        signature.insist(bundle.uri, bundle.digest, job.bundle_key, store)
    return bundle, contract


def check_partition(job: Job, bundle: Bundle, contract: Contract | None, store: ObjectStore) -> Checked:
    """The partition of a job held against what `ready` gave. Raises as `check`."""
    partition = _existing(job, open_partition(job.listings, job.partition, store))
    for file, schema in zip(partition.files, partition.schemas, strict=True):
        _check_columns(schema, file.uri, bundle, contract)
    return Checked(partition, bundle, contract)


def _check_places(job: Job) -> None:
    places = (job.predictions, job.quarantine_uri, job.state_uri)
    if len({parse(uri).bucket is None for uri in places}) > 1:
        raise SettingsError(
            f"predictions, quarantine and state must all be in S3, or all be local: {', '.join(places)}."
            " Nothing was read."
        )
    written = {"predictions": job.predictions, "state": job.state_uri, "quarantine": job.quarantine_uri}
    if job.reuse != "none":
        written["embeddings.uri"] = job.embeddings_uri
    if is_table(job.listings) and is_table(job.sink) and _same_table(job.listings, job.sink):
        raise SettingsError(f"listings and sink are one table: {job.sink}. Give sink another one. Nothing was read.")
    for name, uri in written.items():
        for source, place in (("listings", job.listings), ("bundle", job.bundle)):
            if _lies_below(uri, place) or _lies_below(place, uri):
                raise SettingsError(
                    f"{name} ({uri}) and {source} ({place}) are one place, or one lies below the other: what is written"
                    f" there would be read as {source}, or replace them. Give {name} a place of its own. Nothing was"
                    " read."
                )
        if name != "predictions" and _lies_below(uri, job.predictions):
            raise SettingsError(
                f"{name} ({uri}) lies below predictions ({job.predictions}), where warehouses would read it as"
                " predictions. Give it a place of its own. Nothing was read."
            )


def _same_table(one: str, other: str) -> bool:
    return str(TableName.parse(one)) == str(TableName.parse(other))


def _lies_below(uri: str, folder: str) -> bool:
    return f"{canonical(uri)}/".startswith(f"{canonical(folder).rstrip('/')}/")


def _existing(job: Job, partition: Partition | None) -> Partition:
    if partition is None:
        what = f"partition {job.partition}" if job.partition else "Parquet file"
        if job.require_partition:
            raise InputError(f"There is no {what} at {job.listings}, and it was required. Nothing was done.")
        raise NothingToDo(f"There is no {what} at {job.listings}. Nothing was done.")
    if not partition.rows:
        raise NothingToDo(f"{partition}: its {len(partition.files)} file(s) hold no row. Nothing was done.")
    return partition


def _check_columns(schema: pa.Schema, uri: str, bundle: Bundle, contract: Contract | None) -> None:
    wanted = dict.fromkeys([ID, IMAGES, *(column.name for column in (contract.columns if contract else ()))])
    missing = [name for name in wanted if name not in schema.names]
    if missing:
        raise ContractError(
            f"{uri} has no column {', '.join(missing)}. It has: {', '.join(schema.names)}. Nothing was scored."
        )
    kind = schema.field(ID).type
    if not is_string(kind.value_type if pa.types.is_dictionary(kind) else kind):
        raise ContractError(f"{uri}: column {ID} is {kind}; expected string. Nothing was scored.")
    check_image_column(schema.field(IMAGES).type)
    bundle.preprocessing.check(schema, uri)
    for column in contract.columns if contract else ():
        column.broken(pa.nulls(0, schema.field(column.name).type))
