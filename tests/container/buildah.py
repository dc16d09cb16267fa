"""Buildah without an engine: chroot isolation, a base image made by debootstrap, nothing fetched from a registry."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.container.outside import Mount

PACKAGES = ("python3", "python3-venv", "ca-certificates")
"""What the Dockerfile needs of its base besides Debian's minimum. Debian 12's Python is 3.11."""

SUITE = "bookworm"


@dataclass(frozen=True)
class Buildah:
    """Images and containers in one folder, apart from any engine's own."""

    folder: Path
    driver: str

    @classmethod
    def at(cls, folder: Path) -> "Buildah":
        """With overlay mounts where the file system has them; else every layer is a whole copy (vfs)."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "registries.conf").write_text("unqualified-search-registries = []\n", encoding="utf-8")
        return cls(folder, "overlay" if _has_overlay(folder) else "vfs")

    def run(self, *arguments: str | Path) -> str:
        """One command's standard output. Raises CalledProcessError, all that it said shown before."""
        places = ["--root", self.folder / self.driver, "--runroot", self.folder / "run"]
        command = ["buildah", "--storage-driver", self.driver, *places, *arguments]
        environment = {
            **os.environ,
            "CONTAINERS_REGISTRIES_CONF": str(self.folder / "registries.conf"),
            "BUILDAH_ISOLATION": "chroot",
            "TMPDIR": str(self.folder),  # what a layer passes through on its way, 2 GB; not every /tmp holds that
        }
        done = subprocess.run(
            [str(part) for part in command],
            check=False,
            env=environment,
            text=True,
            capture_output=True,
        )
        if done.returncode:
            sys.stdout.write(f"{done.stdout}\n{done.stderr}\n")
            raise subprocess.CalledProcessError(done.returncode, [str(part) for part in command])
        return done.stdout.strip()

    def has(self, image: str) -> bool:
        """Is there an image of this name?"""
        listed = json.loads(self.run("images", "--json"))
        return any(image in (entry.get("names") or ()) for entry in listed)

    def make_base(self, image: str) -> None:
        """A minimal Debian with Python under the name that the Dockerfile asks for."""
        rootfs = self.folder / "rootfs"
        shutil.rmtree(rootfs, ignore_errors=True)
        include = f"--include={','.join(PACKAGES)}"
        subprocess.run(
            ["debootstrap", "--variant=minbase", include, SUITE, rootfs], check=True, stdout=subprocess.DEVNULL
        )
        for leftover in ("var/cache/apt/archives", "var/lib/apt/lists"):
            shutil.rmtree(rootfs / leftover, ignore_errors=True)
        for copied in ("etc/resolv.conf", "etc/hostname"):  # of this machine, by debootstrap
            (rootfs / copied).write_text("", encoding="utf-8")
        container = self.run("from", "scratch")
        self.run("add", "--quiet", container, rootfs, "/")
        self.run("config", "--env", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", container)
        self.run("commit", "--quiet", "--rm", container, image)
        shutil.rmtree(rootfs)

    def build(self, context: Path, image: str, mounted: Sequence[Mount]) -> None:
        """The Dockerfile in `context`, as it stands. One layer on top of its base: none between is kept."""
        volumes = [part for mount in mounted for part in ("--volume", str(mount))]
        options = ["--isolation", "chroot", "--pull-never", "--layers=false", "--tag", image, *volumes]
        self.run("rm", "--all")  # what a build that was killed left
        self.run("bud", *options, "--file", context / "Dockerfile", context)
        self.run("rmi", "--prune")  # the image that had the name before: 2 GB

    def config(self, image: str) -> dict[str, Any]:
        """What the image says of itself: User, Env, Entrypoint, Cmd, WorkingDir, Labels."""
        described: dict[str, Any] = json.loads(self.run("inspect", "--type", "image", image))
        found: dict[str, Any] = described["OCIv1"]["config"]
        return found

    @contextmanager
    def files(self, image: str) -> Iterator[Path]:
        """The image's files, mounted for as long as the context lasts."""
        container = self.run("from", "--pull-never", image)
        try:
            yield Path(self.run("mount", container))
        finally:
            self.run("umount", container)
            self.run("rm", container)


def _has_overlay(folder: Path) -> bool:
    """Tried in a mount namespace that ends with the try."""
    places = {name: folder / "try" / name for name in ("lowerdir", "upperdir", "workdir")}
    for place in places.values():
        place.mkdir(parents=True, exist_ok=True)
    options = ",".join(f"{name}={place}" for name, place in places.items())
    command = ["unshare", "--mount", "mount", "-t", "overlay", "overlay", "-o", options, str(places["lowerdir"])]
    done = subprocess.run(command, check=False, capture_output=True)
    shutil.rmtree(folder / "try", ignore_errors=True)
    return done.returncode == 0
