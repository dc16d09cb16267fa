"""What the build of the image takes from the machine, and what it shows inside."""

import configparser
from pathlib import Path

import pytest

from tests.container import jail
from tests.container.outside import HOME, leftovers, mounts, parse


def written(home: Path) -> dict[str, str]:
    conf = configparser.ConfigParser(interpolation=None)
    conf.read(home / ".config" / "pip" / "pip.conf")
    return dict(conf["global"])


def test_the_environment_wins_over_files_and_single_commands_do_not_count() -> None:
    listed = ":env:.index-url='https://env.example/simple'\nglobal.index-url='https://file.example/simple'\n"
    listed += "global.timeout='9'\ninstall.no-deps='1'\n"

    assert parse(listed) == {"index-url": "https://env.example/simple", "timeout": "9"}


def test_a_local_index_is_mounted_and_named_by_its_place_inside(tmp_path: Path) -> None:
    for name in ("pypi/simple", "pypi-more/simple", "wheels"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "limits.txt").touch()
    settings = {
        "index-url": "https://index.example/simple",
        "extra-index-url": f"\nfile://{tmp_path}/pypi/simple\nfile://{tmp_path}/pypi-more/simple",
        "find-links": f"{tmp_path}/wheels",
        "constraint": f"{tmp_path}/limits.txt",
        "cert": f"{tmp_path}/ca.pem",
    }

    found = mounts(settings, tmp_path / "scratch")

    inside = {str(mount.source): mount.target for mount in found}
    assert inside[str(tmp_path / "scratch" / "home")] == HOME
    assert written(tmp_path / "scratch" / "home") == {
        "index-url": "https://index.example/simple",
        "extra-index-url": f"file://{inside[f'{tmp_path}/pypi']}/simple file://{inside[f'{tmp_path}/pypi-more']}/simple",
        "find-links": inside[f"{tmp_path}/wheels"],
        "constraint": inside[f"{tmp_path}/limits.txt"],
        "cert": inside[f"{tmp_path}/ca.pem"],
    }
    assert all(str(mount).endswith(":ro") for mount in found)


def test_every_mount_lies_over_the_home_that_the_base_has_and_on_a_place_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    home, *rest = mounts({"find-links": str(tmp_path / "wheels")}, tmp_path / "scratch")

    for mount in rest:
        assert (home.source / Path(mount.target).relative_to(HOME)).exists(), mount


@pytest.mark.parametrize("made", ["certificates.pem", ".config"])
def test_a_mount_that_left_something_in_the_image_is_found(tmp_path: Path, made: str) -> None:
    mounted = mounts({}, tmp_path / "scratch")
    base, image = tmp_path / "base", tmp_path / "image"
    for root in (base, image):
        (root / "root").mkdir(parents=True)
        (root / "root" / ".bashrc").touch()
    assert leftovers(image, base, mounted) == []

    (image / "root" / made).touch()

    assert HOME in leftovers(image, base, mounted)


def test_the_container_has_no_rights_no_network_and_no_root_to_write_to(tmp_path: Path) -> None:
    image = {"User": "10001:10001", "Env": ["HOME=/tmp"], "Entrypoint": ["scorer"], "WorkingDir": "/tmp"}

    specified = jail.specification(image, tmp_path, tmp_path, ["--help"])

    process = specified["process"]
    assert process["args"] == ["scorer", "--help"]
    assert process["user"] == {"uid": 10001, "gid": 10001}
    assert not any(process["capabilities"].values())
    assert process["noNewPrivileges"]
    assert specified["root"]["readonly"]
    assert {"type": "network"} in specified["linux"]["namespaces"]
