"""Credentials, the clock, and every permission that the job needs at its object store, each tried for real."""

import contextlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from scorer.errors import (
    CredentialsRefused,
    PreconditionFailed,
    ScorerError,
    SettingsError,
    StoreUnreachable,
    Terminal,
    Transient,
)
from scorer.objectstore import ObjectStore, canonical, join, parse
from scorer.run.doctor.finding import Finding, fail, ok, warn
from scorer.settings import Job

METHODS: Mapping[str, str] = {
    "env": "environment variables",
    "shared-credentials-file": "the shared credentials file",
    "config-file": "the configuration file",
    "assume-role": "a role that the profile assumes",
    "assume-role-with-web-identity": "a web identity (the pod's service account)",
    "container-role": "the container's role",
    "iam-role": "the instance's role",
    "sso": "single sign-on",
    "custom-process": "a process that the profile names",
}
"""boto3's name of a kind of credentials -> ours."""

ACTIONS: Mapping[str, str] = {
    "list": "s3:ListBucket",
    "put": "s3:PutObject",
    "copy": "s3:PutObject there and s3:GetObject on the state",
    "get": "s3:GetObject",
    "delete": "s3:DeleteObject",
}
"""What was tried -> what a policy must allow."""

SKEW_WARN_S, SKEW_FAIL_S = 60.0, 900.0
"""S3 refuses requests whose clock is 15 minutes off (RequestTimeTooSkewed)."""

Step = tuple[str, Callable[[], object]]


def credentials(places: list[str]) -> Iterator[Finding]:
    """Where credentials come from; never what they are. Nothing where every place is local."""
    if all(parse(place).bucket is None for place in places):
        return
    import boto3
    from botocore.exceptions import BotoCoreError

    session = boto3.Session()
    try:
        found = session.get_credentials()
        endpoint = session.client("s3", region_name=session.region_name or "us-east-1").meta.endpoint_url
    except BotoCoreError as error:
        yield fail("credentials", CredentialsRefused(str(error)), "Mend the profile or role that is named.")
        return
    if found is None:
        text = f"None were found for {endpoint}."
        yield fail("credentials", CredentialsRefused(text), "Set AWS_PROFILE or AWS_ACCESS_KEY_ID, or attach a role.")
        return
    kind = "temporary" if found.token else "permanent"
    yield ok("credentials", f"{kind} ones from {METHODS.get(found.method, found.method)}, for {endpoint}")


def places(job: Job, store: ObjectStore) -> Iterator[Finding]:
    """State, predictions, quarantine and embeddings, under a scratch prefix in each that is removed again."""
    name = f"_doctor-{secrets.token_hex(4)}"
    source = join(job.state_uri, name, "source")
    with _scratch(join(job.state_uri, name), store):
        state = _tried("state", job.state_uri, _state_steps(join(job.state_uri, name), store, job.single_writer))
        yield state
        if state.exit_code == Transient.exit_code:
            return  # the store is out of reach, or takes us for nobody: the others would say the same
        yield from _clock(source, store)
        for kind, place in (("predictions", job.predictions), ("quarantine", job.quarantine_uri)):
            scratch = join(place, name)
            with _scratch(scratch, store):
                yield _tried(kind, place, _published_steps(scratch, source, store))
        if job.reuse != "none":
            scratch = join(job.embeddings_uri, name)
            with _scratch(scratch, store):
                yield _cold(_tried("embeddings", job.embeddings_uri, _kept_steps(scratch, store)))


class _Ignored(SettingsError):
    """The store wrote although the condition did not hold."""


def _state_steps(scratch: str, store: ObjectStore, single_writer: bool) -> list[Step]:
    one = join(scratch, "one")
    conditional: list[Step] = [
        ("put if absent", lambda: store.put(one, b"1", if_none_match=True)),
        ("put if absent", lambda: _refused(store, one, etag=None)),
        ("put if unchanged", lambda: store.put(one, b"2", if_match=store.head(one).etag)),
        ("put if unchanged", lambda: _refused(store, one, etag='"0123456789abcdef0123456789abcdef"')),
    ]
    source = join(scratch, "source")
    return [
        ("list", lambda: store.list_all(scratch)),
        ("put", lambda: store.put(source, b"source")),
        ("get", lambda: store.get(source)),
        *([] if single_writer else conditional),
        ("delete", lambda: _deleted(store, one)),
    ]


def _published_steps(scratch: str, source: str, store: ObjectStore) -> list[Step]:
    target = join(scratch, "copy")
    return [
        ("list", lambda: store.list_all(scratch)),
        ("copy", lambda: store.copy(source, target)),
        ("get", lambda: store.get(target)),
        ("put", lambda: store.put(target, b"replaced")),
        ("delete", lambda: _deleted(store, target)),
    ]


def _kept_steps(scratch: str, store: ObjectStore) -> list[Step]:
    one = join(scratch, "one")
    return [
        ("list", lambda: store.list_all(scratch)),
        ("put", lambda: store.put(one, b"1")),
        ("get", lambda: store.get(one)),
        ("delete", lambda: _deleted(store, one)),
    ]


def _cold(found: Finding) -> Finding:
    """A run does without a store of embeddings: what does not work there is a warning."""
    if found.verdict != "fail":
        return found
    return warn(found.check, found.text, f"{found.advice} Until then every night computes every image.")


def _refused(store: ObjectStore, uri: str, etag: str | None) -> None:
    """A conditional write that must not succeed."""
    header = "If-None-Match" if etag is None else "If-Match"
    try:
        store.put(uri, b"3", if_none_match=etag is None, if_match=etag)
    except PreconditionFailed:
        return
    raise _Ignored(f"{uri} was written although its condition ({header}) did not hold.")


def _deleted(store: ObjectStore, uri: str) -> None:
    store.delete([uri])
    if store.exists(uri):
        raise Terminal(f"{uri} was deleted and is still there.")


def _tried(check: str, place: str, steps: list[Step]) -> Finding:
    """The first step that does not work, or what works."""
    done: dict[str, None] = {}
    for name, attempt in steps:
        try:
            attempt()
        except (Terminal, Transient) as error:
            worked = f" ({', '.join(done)} did)" if done else ""
            said = type(error)(f"{name} does not work{worked}: {error}")
            return fail(check, said, _advice(name, place, error))
        done[name] = None
    return ok(check, f"{canonical(place)}: {', '.join(done)} work")


def _advice(step: str, place: str, error: ScorerError) -> str:
    bucket = parse(place).bucket
    if isinstance(error, _Ignored):
        return (
            "Two runs at once could publish over each other. Keep the state in a store with conditional writes, or set"
            " single_writer: true if only one run publishes at a time."
        )
    if isinstance(error, CredentialsRefused):
        return "Renew the credentials, or mend the role or the clock; the error says which."
    if isinstance(error, StoreUnreachable):
        return f"Look at AWS_ENDPOINT_URL, the network and the store's health; {place} did not answer."
    if bucket is None:
        return f"Give user {os.getuid()} the right to write below {canonical(place)}."
    if "no such bucket" in str(error):
        return f"Make the bucket {bucket}, or mend the setting."
    action = ACTIONS.get(step.split()[0], "s3:*")
    return f"Allow {action} on {parse(place).uri.rstrip('/')}/* (arn:aws:s3:::{bucket}); see the policy of the key."


class _Clocks(NamedTuple):
    """UTC; the store's to the second."""

    ours: datetime
    store: datetime


def _clock(probe: str, store: ObjectStore) -> Iterator[Finding]:
    """Our clock against the store's, as the probe's time tells it. Nothing where there is no probe, or no store."""
    if parse(probe).bucket is None:
        return
    try:
        store.put(probe, b"source")
        clocks = _Clocks(datetime.now(UTC), store.head(probe).modified)
    except ScorerError:
        return  # the finding before this one says why
    skew = (clocks.ours - clocks.store).total_seconds()
    text = f"{abs(skew):,.0f} s {'ahead of' if skew > 0 else 'behind'} the store's"
    if abs(skew) >= SKEW_FAIL_S:
        text = f"The clock is {text}; stores refuse signatures that are 15 minutes off."
        yield fail("clock", StoreUnreachable(text), "Set the clock (chrony, ntp).")
    elif abs(skew) >= SKEW_WARN_S:
        yield warn("clock", text, "Set the clock (chrony, ntp): from 15 minutes on the store refuses every request.")
    else:
        yield ok("clock", "within a minute of the store's")


@contextlib.contextmanager
def _scratch(folder: str, store: ObjectStore) -> Iterator[None]:
    """Whatever is written below the folder is gone afterwards; of a local place also the folders made on the way."""
    place = parse(folder)
    absent = [] if place.bucket else [path for path in (Path(place.key), *Path(place.key).parents) if not path.exists()]
    try:
        yield
    finally:
        if place.bucket is None:
            shutil.rmtree(place.key, ignore_errors=True)
            for path in absent:  # innermost first; one that somebody uses meanwhile stays
                with contextlib.suppress(OSError):
                    path.rmdir()
        else:
            for written in ("source", "one", "copy"):
                with contextlib.suppress(Terminal, Transient):  # who may not delete has been told so
                    store.delete([join(folder, written)])
