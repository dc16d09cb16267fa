"""The same protocol on local files and in S3."""

from pathlib import Path

import pytest

from tests.conftest import Bucket


@pytest.fixture(params=["local", "bucket"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The protocol is the same on local files and in S3."""
    if request.param == "local":
        return str(tmp_path)
    found: Bucket = request.getfixturevalue("bucket")
    return found.uri
