"""One tiny bundle for all tests of runs."""

import pytest

from tests import tiny


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A local bundle, made once a worker."""
    uri = str(tmp_path_factory.mktemp("bundle") / "tiny")
    tiny.make_bundle(uri)
    return uri
