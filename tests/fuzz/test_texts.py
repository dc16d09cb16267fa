"""Whatever stands in settings, URIs and partition keys is taken or refused by name, and leads nowhere else."""

import contextlib
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from scorer.errors import Forbidden, ImageFault, InputError, NotFound, SettingsError
from scorer.intake.fetch import Fetcher, ImagePlaces
from scorer.intake.partitions import find_keys, open_partition
from scorer.objectstore import ObjectStore, canonical, join, parse
from scorer.settings import ImageLimits, ImageSources, Job, TrainJob, load
from tests.intake.test_rows import write

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "0"))
"""0: the same 200 every time. More: other ones every time, as many as asked for."""

fuzzed = settings(
    max_examples=EXAMPLES or 200,
    derandomize=not EXAMPLES,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

SECRET = b"nobody may read this"

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["[1", '["a"]', "{}"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)

NAMES = [*Job.model_fields, *TrainJob.model_fields, *(f"images.{name}" for name in ImageLimits.model_fields), "speed.x"]

UP = ["..", "..\\", "%2e%2e", "%2E%2e", "..%2f", "\u2025", "\uff0e\uff0e", "~", "$HOME"]
ODD = ["", ".", "\\", "%2f", "%00", "*", "?x=1", "#f", "=", "ds=", "\u202e", "\ud800"]
pieces = st.sampled_from([*UP, *ODD, "a", "img", "secret.jpg", "outside", "listings", "ds=2026-11-24"])
starts = st.sampled_from(["", "/", "//", "file://", "file:///", "file://host/", "s3://", "s3://listings/", "FILE:///"])
paths = st.builds(lambda start, steps: start + "/".join(steps), starts, st.lists(pieces, max_size=7))
texts = st.text(max_size=40) | paths | st.builds(lambda a, b: a + b, paths, st.text(max_size=5))


@fuzzed
@given(st.sampled_from([Job, TrainJob]), st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=9), values))
def test_settings_are_taken_or_refused_as_settings(kind: type[Job] | type[TrainJob], flags: dict[str, Any]) -> None:
    with contextlib.suppress(SettingsError):
        assert isinstance(load(kind, environ={}, flags=flags), kind)


@fuzzed
@given(st.dictionaries(st.sampled_from(NAMES).map(lambda n: f"SCORER_{n.upper().replace('.', '__')}"), st.text()))
def test_the_environment_is_taken_or_refused_as_settings(environ: dict[str, str]) -> None:
    with contextlib.suppress(SettingsError):
        assert isinstance(load(Job, environ=environ), Job)


@fuzzed
@given(st.binary(max_size=60) | st.text(alphabet="&*!|>%@`{}[]:-#'\"? \n\tab1.e~<", max_size=60).map(str.encode))
def test_any_bytes_as_a_settings_file_are_taken_or_refused_by_name(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    file = tmp_path_factory.mktemp("settings", numbered=True) / "job.yaml"
    file.write_bytes(content)
    with pytest.raises(SettingsError):  # none of them names listings, bundle and predictions
        load(Job, file=file, environ={})


@fuzzed
@given(texts)
@example("/")
def test_a_place_is_parsed_to_one_canonical_uri_or_refused(text: str) -> None:
    try:
        uri = canonical(text)
    except SettingsError:
        return
    assert canonical(uri) == uri
    assert parse(uri).bucket == parse(text).bucket


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """listings/img/a and, beside the listings, what nobody may read."""
    root = tmp_path_factory.mktemp("tree")
    (root / "listings" / "img").mkdir(parents=True)
    (root / "listings" / "img" / "a").write_bytes(b"image")
    write(root / "listings" / "ds=2026-11-24", "a.parquet", ["x"])
    for place in (root, root / "outside", root / "outside" / "ds=2026-11-24"):
        place.mkdir(exist_ok=True)
        (place / "secret.jpg").write_bytes(SECRET)
        write(place, "secret.parquet", ["secret"])
    return root


@fuzzed
@given(texts)
def test_no_uri_reads_beyond_the_allowed_folders(tree: Path, text: str) -> None:
    places = ImagePlaces.of(str(tree / "listings"), ImageSources(folders=(str(tree / "listings" / "img"),)))
    with Fetcher(ObjectStore(), ImageLimits(), 1) as fetcher:
        for given_text in (text, text.replace("img", str(tree / "outside"))):
            with contextlib.suppress(ImageFault):
                assert fetcher.get(places.resolve(given_text)) != SECRET


@fuzzed
@given(texts)
@example("..")
@example("ds=\ud800")
def test_no_partition_key_reads_beyond_the_listings(tree: Path, key: str) -> None:
    listings = str(tree / "listings")
    try:
        found = open_partition(listings, key, ObjectStore())
    except (InputError, SettingsError, NotFound, Forbidden):
        return
    if found is not None:
        assert all(file.uri.startswith(listings + "/") for file in found.files)
        assert ".." not in found.place.split("/")


@fuzzed
@given(st.lists(texts, max_size=3))
def test_no_key_found_below_a_folder_leads_out_of_it(tree: Path, steps: list[str]) -> None:
    for key in find_keys(str(tree / "listings"), ObjectStore()):
        assert canonical(join(str(tree / "listings"), key)).startswith(str(tree / "listings"))
