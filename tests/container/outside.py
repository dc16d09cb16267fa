"""What a build inside takes from the machine outside and must not keep: pip's configuration and the CA certificates.

They are shown inside while the RUN lines of the Dockerfile are at work, all in one place: over the builder's home,
which every base has, so that not even an empty mount point is left in a layer. `leftovers` looks.
"""

import ast
import os
import re
import ssl
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

HOME = "/root"
"""Of whom the RUN lines run as; pip looks for .config/pip/pip.conf there."""

PATHS = re.compile(r"(?:(?<=^)|(?<=\s)|(?<=file://))/\S+")
"""Local paths in a setting of pip's, bare or as file:// URLs."""


@dataclass(frozen=True)
class Mount:
    """A file or folder of the machine, shown inside and read-only there."""

    source: Path
    target: str

    def __str__(self) -> str:
        return f"{self.source}:{self.target}:ro"


def pip_settings() -> dict[str, str]:
    """What pip was told on this machine by files and environment: `index-url` and the like."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    return parse(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def parse(listed: str) -> dict[str, str]:
    """The output of `pip config list` as name -> value; the environment wins, settings of single commands stay out."""
    found: dict[str, dict[str, str]] = {"global": {}, ":env:": {}}
    for line in listed.splitlines():
        key, _, value = line.partition("=")
        section, _, name = key.partition(".")
        with suppress(SyntaxError, ValueError):
            if section in found:
                found[section][name] = str(ast.literal_eval(value))
    return found["global"] | found[":env:"]


def mounts(settings: Mapping[str, str], scratch: Path) -> list[Mount]:
    """A home with pip's settings and the certificates, and in it every local place that the settings name.

    Args:
        settings: of pip, as `pip_settings` gives them.
        scratch: a folder of this user alone that lives as long as the build: settings may hold passwords.
    """
    home = scratch / "home"
    conf = home / ".config" / "pip" / "pip.conf"
    conf.parent.mkdir(parents=True)
    places = _places(settings)
    targets = {place: f"{HOME}/place-{number}" for number, place in enumerate(places)}
    for place, target in targets.items():
        mount_point = home / Path(target).name
        mount_point.mkdir() if place.is_dir() else mount_point.touch()

    certificates = Path(settings.get("cert") or ssl.get_default_verify_paths().cafile or os.devnull).resolve()
    (home / "certificates.pem").touch()
    seen = {name: _seen_inside(value, targets) for name, value in settings.items()}
    seen["cert"] = f"{HOME}/certificates.pem"
    lines = [f"{name} = {' '.join(value.split())}" for name, value in sorted(seen.items())]
    conf.write_text("\n".join(["[global]", *lines, ""]), encoding="utf-8")
    return [
        Mount(home, HOME),
        Mount(certificates, seen["cert"]),
        *(Mount(place, target) for place, target in targets.items()),
    ]


def leftovers(root: Path, base: Path, mounted: Sequence[Mount]) -> list[str]:
    """What the image's files at `root` show of the mounts beyond what the base had there: nothing, if all is well."""
    return [mount.target for mount in mounted if _content(root, mount.target) != _content(base, mount.target)]


def _places(settings: Mapping[str, str]) -> list[Path]:
    """Folders and files that pip would read packages or constraints from, outermost only."""
    named = {Path(path) for name, value in settings.items() if name != "cert" for path in PATHS.findall(value)}
    # The pages of a simple index may lead to files beside it.
    there = {place.parent if place.name == "simple" else place for place in named if place.exists()}
    return sorted(place for place in there if not there.intersection(place.parents))


def _seen_inside(value: str, targets: Mapping[Path, str]) -> str:
    def moved(found: re.Match[str]) -> str:
        path = Path(found[0])
        for place, target in targets.items():
            if path.is_relative_to(place):
                return str(target / path.relative_to(place))
        return found[0]

    return PATHS.sub(moved, value)


def _content(root: Path, target: str) -> bytes | list[str] | None:
    place = root / target.lstrip("/")
    if place.is_dir():
        return sorted(file.name for file in place.iterdir())
    return place.read_bytes() if place.exists() else None
