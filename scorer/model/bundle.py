"""The bundle: one folder or S3 prefix with all that a score depends on, under digests. Read without TensorFlow."""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from scorer.errors import BundleError, NotFound
from scorer.intake.pixels import PixelSpec
from scorer.model import digests, document, golden, strict_json
from scorer.model.content import HEAD, IMAGE_TOWER, OURS, PREPROCESSING, PROFILE, REQUIRED, BundleContent
from scorer.model.digests import Digests
from scorer.model.document import Document
from scorer.model.golden import GoldenRow
from scorer.model.preprocessing import Preprocessing
from scorer.model.readout import Meaning, Readout
from scorer.model.target import TargetTransform
from scorer.objectstore import ObjectStore, canonical, join

__all__ = ["Bundle", "BundleContent", "GoldenRow", "insist_on_free_place", "load_bundle", "save_bundle"]

MAX_JSON_BYTES = 64 << 20
MAX_FILE_BYTES = 1 << 30
READERS = 8
"""Files read at a time: some 25 small ones, whose round trips to S3 would add up to a second."""


@dataclass(frozen=True)
class Bundle:
    """A bundle whose every file was found to be the one that was saved. Graphs and images are read when asked for.

    Attributes:
        uri: where it is.
        store: what reads it.
        digests: of its files.
        document: bundle.json.
        preprocessing: features, in order.
        profile: how features and scores were distributed in training.
        targets: output -> the way back from the network's scale to its target's unit.
    """

    uri: str
    store: ObjectStore = field(repr=False)
    digests: Digests = field(repr=False)
    document: Document = field(repr=False)
    preprocessing: Preprocessing = field(repr=False)
    profile: Mapping[str, Any] = field(repr=False)
    pixels: PixelSpec
    target: TargetTransform
    targets: Mapping[str, TargetTransform] = field(repr=False)

    @property
    def name(self) -> str:
        """For people and for the predictions' column."""
        return self.document.name

    @property
    def version(self) -> str:
        """Given by the training job, or taken from the digest."""
        return self.document.version or f"sha-{self.digest[:12]}"

    @property
    def digest(self) -> str:
        """SHA-256 over all files."""
        return self.digests.whole

    @property
    def max_images(self) -> int:
        """Images used per listing, the first ones."""
        return self.document.max_images

    @property
    def embedding_size(self) -> int:
        """D: values per image embedding."""
        return self.document.embedding_size

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the head's outputs."""
        return self.document.outputs

    @property
    def readout(self) -> Readout:
        """How the outputs are read."""
        return self.document.readout

    @property
    def scores(self) -> tuple[str, ...]:
        """Names of the scores, the first of them "prediction"."""
        return self.readout.scores(self.outputs)

    @property
    def columns(self) -> tuple[str, ...]:
        """The scores, and the ends of further outputs' intervals."""
        return self.readout.columns(self.outputs)

    @property
    def target_column(self) -> str:
        """What was learned."""
        return self.document.target.column

    @property
    def target_sd(self) -> float:
        """Standard deviation of the target in training, its unit."""
        return self.document.target.sd

    @property
    def meaning(self) -> Meaning:
        """What a reader of its predictions needs to know of them."""
        return self.readout.meaning(self.outputs)

    def deviation(self, name: str) -> float:
        """Standard deviation in training of what one of `columns` predicts, its unit."""
        further = self.readout.target_of(name)
        return further.sd if further else self.target_sd

    @property
    def metrics(self) -> Mapping[str, Any]:
        """Errors measured after training."""
        return self.document.metrics

    @property
    def training(self) -> Mapping[str, Any]:
        """The data and settings of the training."""
        return self.document.training

    @property
    def versions(self) -> Mapping[str, str]:
        """Packages that the training ran with."""
        return self.document.versions

    @property
    def reusable(self) -> bool:
        """Whether the image tower embeds; False: it passes pixels on to a head that is the whole model."""
        return self.document.not_reusable is None

    def rows_within(self, most_bytes: int, wanted: int) -> int:
        """`wanted` listings, or as many as have their embeddings, each with all its images, within so many bytes."""
        return max(1, min(wanted, most_bytes // (4 * self.embedding_size * self.max_images)))

    @property
    def image_tower(self) -> bytes:
        """The frozen graph, read and checked anew."""
        return self.read(IMAGE_TOWER)

    @property
    def head(self) -> bytes:
        """The frozen graph, read and checked anew."""
        return self.read(HEAD)

    @cached_property
    def golden(self) -> tuple[GoldenRow, ...]:
        """The golden rows with their images."""
        paths = [path for path in self.digests.files if path.startswith("golden/")]
        return golden.from_files(_read_all(paths, self.read), self.scores, self.uri)

    def read(self, path: str) -> bytes:
        """The bytes of one file, checked against its digest: what runs is what was verified. Raises BundleError."""
        data = self.store.get(join(self.uri, path), max_bytes=MAX_FILE_BYTES).data
        self.digests.check(path, data, self.uri)
        return data


def load_bundle(uri: str, store: ObjectStore) -> Bundle:
    """Read a bundle and check every file of it. Imports no TensorFlow; the graphs are checked when they are loaded.

    Args:
        uri: its folder or prefix.
        store: where it is.

    Raises:
        BundleError: there is none, or a file was changed, is missing, does not belong to it, or is malformed (named).
        Forbidden, StoreUnreachable: it cannot be read.
    """
    uri = canonical(uri)
    found = _digests(uri, store)
    prefix = uri + "/"
    found.compare((info.uri.removeprefix(prefix) for info in store.list_all(uri)), uri)

    def checked(path: str) -> bytes:
        try:
            data = store.get(join(uri, path), max_bytes=MAX_FILE_BYTES).data
        except NotFound:
            raise BundleError(f"The bundle {uri} lost {path} while it was read. Nothing was scored.") from None
        found.check(path, data, uri)
        return data if path in (document.FILE, PREPROCESSING, PROFILE) else b""

    files = _read_all(found.files, checked)
    described = Document.from_json(files[document.FILE], join(uri, document.FILE))
    target, readout = TargetTransform.from_dict(described.target.transform), described.readout
    own = {name: TargetTransform.from_dict(further.transform) for name, further in readout.further.items()}
    return Bundle(
        uri=uri,
        store=store,
        digests=found,
        document=described,
        preprocessing=Preprocessing.from_dict(_json(files, PREPROCESSING, uri)),
        profile=_json(files, PROFILE, uri),
        pixels=PixelSpec.from_dict(described.pixels),
        target=target,
        targets={name: own.get(name, target) for name in described.outputs},
    )


def save_bundle(content: BundleContent, uri: str, store: ObjectStore) -> Bundle:
    """Write a bundle, digests.json last, and read it back. A bundle is never overwritten.

    Args:
        content: what training made.
        uri: folder or prefix for it alone. If it holds the very same bundle, that one is returned.
        store: where.

    Returns:
        The bundle as `load_bundle` gives it.

    Raises:
        BundleError: something else is there, or the content is no valid bundle; nothing was written.
    """
    uri = canonical(uri)
    files = content.to_files()
    made = Digests.of(files)
    if store.exists(join(uri, digests.NAME)) and _digests(uri, store).files == made.files:
        return load_bundle(uri, store)
    insist_on_free_place(uri, store)
    # Left by a save that was cut off before its digests.json: not a bundle yet, and its images may be others.
    store.delete(info.uri for info in store.list_all(uri) if info.uri.removeprefix(uri + "/") not in files)
    for path, data in files.items():
        store.put(join(uri, path), data)
    store.put(join(uri, digests.NAME), made.to_json())
    return load_bundle(uri, store)


def insist_on_free_place(uri: str, store: ObjectStore) -> None:
    """Raise BundleError if something is at `uri` that saving a bundle would harm. To ask before a long training."""
    uri = canonical(uri)
    present = [info.uri.removeprefix(uri + "/") for info in store.list_all(uri)]
    if digests.NAME in present:
        raise BundleError(
            f"{uri} holds a bundle already, and bundles are never overwritten: a run may be scoring by it."
            " Nothing was written. Name another place, for instance with the date in it, or delete that bundle first."
        )
    if foreign := [path for path in present if not OURS.fullmatch(path)]:
        raise BundleError(
            f"{uri} holds {foreign[0]} and is no bundle. Nothing was written."
            " Name a folder or prefix for the bundle alone."
        )


def _digests(uri: str, store: ObjectStore) -> Digests:
    where = join(uri, digests.NAME)
    try:
        data = store.get(where, max_bytes=digests.MAX_BYTES).data
    except NotFound:
        raise BundleError(
            f"There is no bundle at {uri}: it has no {digests.NAME}, which is written last. Nothing was scored."
            " Check the place; if a training was cut off there, run it again."
        ) from None
    found = Digests.from_json(data, where)
    if missing := [path for path in REQUIRED if path not in found.files]:
        raise BundleError(f"{where} does not list {missing[0]}, which every bundle has. Nothing was scored.")
    return found


def _json(files: Mapping[str, bytes], path: str, uri: str) -> dict[str, Any]:
    return strict_json.parse(files[path], join(uri, path), MAX_JSON_BYTES)


def _read_all(paths: Iterable[str], read: Callable[[str], bytes]) -> dict[str, bytes]:
    paths = list(paths)
    with ThreadPoolExecutor(READERS) as readers:
        return dict(zip(paths, readers.map(read, paths), strict=True))
