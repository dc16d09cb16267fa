"""What is shipped: a wheel that finds its schemas, and locks that anybody can install from."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parent.parent
LOCKS = sorted(CHECKOUT.glob("requirements*.lock"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=CHECKOUT, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_ships_every_schema_and_no_test(wheel: Path) -> None:
    shipped = set(zipfile.ZipFile(wheel).namelist())

    schemas = {f"schemas/{path.name}" for path in (CHECKOUT / "schemas").iterdir() if path.is_file()}
    assert schemas
    assert schemas <= shipped
    assert {name.partition("/")[0] for name in shipped if ".dist-info" not in name} == {"scorer", "jobs", "schemas"}


def test_the_schemas_are_found_where_only_the_wheel_is_installed(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path)
    program = "from importlib import resources; print(resources.files('schemas') / 'predictions.odcs.yaml')"

    # -S leaves site-packages out, and with them the checkout that is installed there for development.
    python = [sys.executable, "-S", "-c", program]
    found = subprocess.run(python, cwd=tmp_path, check=True, capture_output=True, text=True).stdout.strip()

    assert Path(found).is_relative_to(tmp_path)
    assert Path(found).read_bytes() == (CHECKOUT / "schemas" / "predictions.odcs.yaml").read_bytes()


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_pins_and_hashes_every_package_and_names_no_server(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")

    assert "://" not in text
    assert not re.search(r"--(extra-)?index-url|--find-links", text)
    for requirement in re.split(r"\n(?=\S)", text.strip()):
        assert re.match(r"[a-z0-9.-]+(\[[a-z0-9,-]+\])?==\S+", requirement), requirement
        assert "--hash=sha256:" in requirement, requirement


def test_development_container_and_gpu_run_the_same_releases() -> None:
    development = _releases(CHECKOUT / "requirements-dev.lock")
    container = _releases(CHECKOUT / "requirements.lock")

    assert container <= development
    assert container <= _releases(CHECKOUT / "requirements-gpu.lock")
    assert _releases(CHECKOUT / "requirements-build.lock") <= development


def _releases(lock: Path) -> set[str]:
    return set(re.findall(r"^([a-z0-9.-]+==\S+)", lock.read_text(encoding="utf-8"), re.MULTILINE))
