"""Fixtures that every folder of tests may use."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import settings

from tests.servers import FaultyS3Server, S3Server, gateway, moto

# The same cases on every machine and at every run; `make fuzz` is where new ones are looked for. Nobody's clock is fast
# enough for a deadline on a busy machine.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


@dataclass(frozen=True)
class Bucket:
    """An empty bucket of one test; the environment points at its server."""

    name: str
    server: S3Server

    @property
    def uri(self) -> str:
        """s3://NAME."""
        return f"s3://{self.name}"


@dataclass(frozen=True)
class FaultyBucket(Bucket):
    """A bucket on the server that can be told to misbehave."""

    server: FaultyS3Server


@pytest.fixture(scope="session")
def moto_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """One moto a worker."""
    with moto(tmp_path_factory.mktemp("moto")) as server:
        yield server


@pytest.fixture(scope="session")
def gateway_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyS3Server]:
    """One gateway with its proxy a worker."""
    with gateway(tmp_path_factory.mktemp("gateway")) as server:
        yield server


@pytest.fixture
def bucket(moto_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """A fresh bucket on the quick server."""
    _point_at(moto_server, monkeypatch)
    return Bucket(moto_server.new_bucket(), moto_server)


@pytest.fixture
def strict_bucket(gateway_server: FaultyS3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyBucket]:
    """A fresh bucket on the server that checks signatures and can be told to misbehave; healed before and after."""
    _point_at(gateway_server, monkeypatch)
    gateway_server.heal()
    yield FaultyBucket(gateway_server.new_bucket(), gateway_server)
    gateway_server.heal()


@pytest.fixture(params=["bucket", "strict_bucket"])
def any_bucket(request: pytest.FixtureRequest) -> Bucket:
    """The test runs twice: on either server."""
    found: Bucket = request.getfixturevalue(request.param)
    return found


def _point_at(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process and those that it starts find this server, and no credentials of the machine."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
