"""One tiny bundle for all tests of runs."""

import pytest

from tests import tiny


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A local bundle, made once a worker."""
    uri = str(tmp_path_factory.mktemp("bundle") / "tiny")
    tiny.make_bundle(uri)
    return uri


@pytest.fixture(scope="session")
def other(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A bundle of the same features with other weights, made once a worker."""
    uri = str(tmp_path_factory.mktemp("other") / "tiny")
    tiny.make_bundle(uri, seed=4)
    return uri
