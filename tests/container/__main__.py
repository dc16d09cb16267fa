"""`make image`: build the Dockerfile's image where no engine runs, and let it run the demo without any rights.

Needs root, and buildah, crun and debootstrap. The base image is a minimal Debian with its own Python, made here under
the name that the Dockerfile asks for: nothing is fetched from a registry of images. Leaves the image and its base in
`tests/container/.work`; a second build takes the base that is there.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.container import jail, outside
from tests.container.buildah import Buildah

CHECKOUT = Path(__file__).parents[2]
WORK = Path(__file__).with_name(".work")
BASE = "localhost/python:3.11-slim-bookworm"
"""The Dockerfile's FROM; a name without a host is looked for on localhost first."""
IMAGE = "localhost/scorer:latest"

PROBE = """
import os
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
rights = {status[name].strip() for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}
assert os.getuid() == 10001, os.getuid()
assert rights == {"0" * 16}, rights
assert status["NoNewPrivs"].strip() == "1"
for place in ("/", "/opt/scorer", "/var/tmp", "/etc", "/home"):
    try:
        open(os.path.join(place, "written"), "w")
    except OSError:
        continue
    raise AssertionError(f"{place} can be written to")
print("user 10001, no capabilities, no new privileges, a root that cannot be written to")
"""


def main() -> int:
    """Build, look, run. The exit code is 0 if everything went as it should."""
    if missing := [name for name in ("buildah", "crun", "debootstrap") if not shutil.which(name)]:
        say(f"Not found: {', '.join(missing)}. apt-get install --no-install-recommends buildah crun debootstrap")
        return 2
    if os.geteuid():
        say("The build needs root: it mounts, and its files belong to several users.")
        return 2
    builder = Buildah.at(WORK)
    if not builder.has(BASE):
        with timed("base image by debootstrap"):
            builder.make_base(BASE)
    with tempfile.TemporaryDirectory(prefix="scorer-image-") as scratch:
        mounted = outside.mounts(outside.pip_settings(), Path(scratch))
        with timed(f"build ({builder.driver})"):
            builder.build(CHECKOUT, IMAGE, mounted)
        with builder.files(BASE) as base, builder.files(IMAGE) as root:
            if left := outside.leftovers(root, base, mounted):
                say(f"The image shows what it should not keep: {', '.join(left)}.")
                return 1
            say(f"size: {megabytes(root):,} MB, of which the base {megabytes(base):,} MB")
            return try_out(builder, root)


def try_out(builder: Buildah, root: Path) -> int:
    """The probe, the demo, and its last night once more: published already, so nothing is done."""
    image = builder.config(IMAGE)
    data = WORK / "data"
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir()
    os.chown(data, 10001, 10001)
    demo = f"{jail.DATA}/demo"
    score = ["-m", "jobs.score", *(f"--{name}={demo}/{name}" for name in ("listings", "bundle", "predictions"))]
    steps = {
        "probe": jail.specification(image, root, data, ["-c", PROBE], ["python3"]),
        "help": jail.specification(image, root, data, ["--help"]),
        "demo": jail.specification(image, root, data, ["demo", "--dir", demo]),
        "the same night again": jail.specification(
            image, root, data, [*score, f"--quarantine={demo}/quarantine", "--partition=ds=2026-11-24"], ["python3"]
        ),
    }
    for name, specified in steps.items():
        ended = jail.run(specified, WORK, echo=name == "demo")
        say(f"{name}: exit {ended.code} after {ended.seconds:.1f} s")
        if ended.code:
            say(ended.output)
            return 1
    say("The image runs: as user 10001, without capabilities, network or a root that it could write to.")
    return 0


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Says how long the block took."""
    started = time.monotonic()
    yield
    say(f"{what}: {time.monotonic() - started:.0f} s")


def megabytes(folder: Path) -> int:
    """What the files take on disk, 10^6 bytes; as `du` counts."""
    counted = subprocess.run(["du", "-s", "-B1", folder], check=True, capture_output=True, text=True).stdout
    return round(int(counted.split()[0]) / 1e6)


def say(text: str) -> None:
    """A line for whoever watches."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
