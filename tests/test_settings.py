"""Settings: YAML, environment and flags, in that order of rising strength; nothing unknown passes."""

import json
import re
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scorer import contracts
from scorer.errors import BundleError, SettingsError
from scorer.intake.pixels import PixelSpec
from scorer.run import schemas
from scorer.settings import CHANGES_NO_SCORE, CreateJob, Housekeeping, Job, Speed, TrainJob, load

PLACES = {"listings": "/l", "bundle": "/b", "predictions": "/p"}


def yaml(folder: Path, text: str) -> Path:
    path = folder / "job.yaml"
    path.write_text(text)
    return path


def test_flags_win_over_environment_and_environment_over_yaml(tmp_path: Path) -> None:
    file = yaml(
        tmp_path, "listings: y\nbundle: y\npredictions: y\nspeed: {batch_images: 1, batch_rows: 1, decode_threads: 1}\n"
    )
    environ = {"SCORER_BUNDLE": "e", "SCORER_SPEED__BATCH_ROWS": "2", "SCORER_SPEED__DECODE_THREADS": "2", "HOME": "/"}
    job = load(Job, file=file, environ=environ, flags={"predictions": "f", "speed.decode_threads": "3", "state": None})
    assert (job.listings, job.bundle, job.predictions) == ("y", "e", "f")
    assert (job.speed.batch_images, job.speed.batch_rows, job.speed.decode_threads) == (1, 2, 3)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"lisstings": "x"}, "lisstings: unknown setting. Known here: audit_reuse, bundle, bundle_digest, bundle_key,"),
        ({"speed.batch_imgs": "3"}, "speed.batch_imgs: unknown setting. Known here: batch_images,"),
        ({"speed.batch_images": "many"}, "speed.batch_images: Input should be a valid integer"),
        ({"speed.batch_images": "0"}, "greater than 0 (got '0')"),
        ({"images.truncated": "maybe"}, "images.truncated: Input should be 'corrupt' or 'use'"),
        ({"speed": "fast"}, "speed: Input should be a valid dictionary"),
        ({"sink": "iceberg:lake"}, "sink: 'iceberg:lake' is not of its form. Where readers find the predictions."),
        ({"sources.buckets": "shop"}, """sources.buckets: a list is written as ["shop"] (got 'shop')."""),
    ],
)
def test_what_is_wrong_with_a_setting_is_said_by_its_name(flags: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError) as raised:
        load(Job, environ={}, flags={**PLACES, **flags})
    assert said in str(raised.value)
    assert "Nothing was started" in str(raised.value)
    assert raised.value.exit_code == 2


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"loss": "quantile"}, "loss quantile and a value of quantile belong together"),
        ({"quantile": "0.9"}, "loss quantile and a value of quantile belong together"),
        ({"loss": "quantile", "quantile": "0.9", "correction": "shift"}, "correction moves a prediction away"),
        ({"loss": "quantile", "quantile": "1"}, "quantile"),
    ],
)
def test_settings_of_a_training_that_contradict_each_other_are_refused(flags: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        load(TrainJob, environ={}, flags={"listings": "L", "target": "price", "bundle": "B", **flags})


def test_a_length_of_time_is_shown_as_it_is_written() -> None:
    with pytest.raises(SettingsError, match="older_than: a length of time is written as 7d, 12h or 30m"):
        load(Housekeeping, environ={}, flags={"predictions": "p", "older_than": "soon"})


def test_an_unknown_variable_of_ours_is_refused_and_others_are_none_of_our_business() -> None:
    with pytest.raises(SettingsError, match="btach: unknown setting"):
        load(Job, environ={"SCORER_BTACH": "1"}, flags=PLACES)
    assert load(Job, environ={"PATH": "/bin"}, flags=PLACES).listings == "/l"


def test_what_is_required_and_absent_is_named() -> None:
    with pytest.raises(SettingsError, match=r"(?s)listings: required.*bundle: required.*predictions: required"):
        load(Job, environ={})


@pytest.mark.parametrize("text", ["- a\n- b\n", "a: [", "just words", "\0"])
def test_a_file_that_is_no_settings_is_refused_by_its_name(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError, match=r"job\.yaml"):
        load(Job, file=yaml(tmp_path, text), environ={}, flags=PLACES)
    with pytest.raises(SettingsError, match=r"none\.yaml"):
        load(Job, file=tmp_path / "none.yaml", environ={}, flags=PLACES)


def test_names_with_values_may_come_as_json_or_one_by_one() -> None:
    places = {"listings": "/l", "target": "price", "bundle": "/b"}
    assert load(TrainJob, flags={**places, "prefixes": '{"postcode": 2}'}).prefixes == {"postcode": 2}
    assert load(TrainJob, flags={**places, "prefixes.postcode": "2"}).prefixes == {"postcode": 2}
    with pytest.raises(SettingsError, match="prefixes: Input should be a valid dictionary"):
        load(TrainJob, flags={**places, "prefixes": '{"postcode": 2'})


def test_lists_may_come_as_json() -> None:
    job = load(Job, environ={"SCORER_SOURCES__BUCKETS": '["a","b"]'}, flags=PLACES)
    assert job.sources.buckets == ("a", "b")


def test_quarantine_and_state_are_siblings_of_the_predictions() -> None:
    job = Job(listings="l", bundle="b", predictions="s3://x/predictions/")
    assert job.quarantine_uri == "s3://x/predictions.quarantine"
    assert job.state_uri == "s3://x/predictions.scorer"


def test_every_setting_outside_the_list_changes_the_fingerprint() -> None:
    job = Job(listings="l", bundle="b", predictions="p")
    changes: dict[str, Any] = {
        "contract": "c",
        "rows_per_unit": 7,
        "rows_per_file": 7,
        "sink": "iceberg:lake.shop.predictions",
        "precision": "bfloat16",
        "images": job.images.model_copy(update={"max_bytes": 7}),
        "sources": job.sources.model_copy(update={"buckets": ("b",)}),
    }
    assert set(changes) | CHANGES_NO_SCORE == set(Job.model_fields)
    prints = {job.model_copy(update={name: value}).fingerprint() for name, value in changes.items()}
    assert len(prints | {job.fingerprint()}) == len(changes) + 1
    for name in CHANGES_NO_SCORE:
        value = Speed(batch_images=7) if name == "speed" else "other"
        assert job.model_copy(update={name: value}).fingerprint() == job.fingerprint()


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3)))
@settings(max_examples=100, deadline=None)
def test_any_value_is_taken_or_refused_as_a_settings_error(value: Any) -> None:
    try:
        job = load(Job, environ={}, flags={**PLACES, "partition": value})
    except SettingsError:
        return
    assert job.partition is None or isinstance(job.partition, str)


def test_the_schemas_in_the_repository_are_those_of_the_classes() -> None:
    for name, text in schemas.generated().items():
        assert contracts.schema_text(name) == text, f"{name} is stale; run `make schemas`"


def test_a_job_fits_its_json_schema_and_a_wrong_one_does_not() -> None:
    schema = json.loads(contracts.schema_text("job.schema.json"))
    jsonschema.validate(Job(**PLACES).model_dump(mode="json"), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**PLACES, "batch": 3}, schema)


def test_every_setting_says_what_it_does() -> None:
    for kind in (Job, TrainJob, Speed):
        for name, info in kind.model_fields.items():
            assert info.description, f"{kind.__name__}.{name} has no text"


@pytest.mark.parametrize(("setting", "field"), [("resize", "filter"), ("scale", "scaling"), ("metadata", "metadata")])
def test_what_may_be_said_of_pixels_is_what_pixels_know(setting: str, field: str) -> None:
    choices = get_args(CreateJob.model_fields[setting].annotation)
    for choice in choices:
        assert getattr(PixelSpec.from_dict({field: choice}), field) == choice
    with pytest.raises(BundleError, match=f"known: {', '.join(map(re.escape, choices))}"):
        PixelSpec.from_dict({field: "another"})
