"""Image files that others collected: every one through the whole job, beside a good image of the same listing.

    python -m tests.fuzz.foreign FOLDER [FOLDER ...]

Fetch the suites yourself; the source distribution of Pillow holds about 1,000 (Tests/images). Each file becomes a
listing with two images: the file, and a good photograph. The job must end with 0, score or degrade every row, use the
photograph everywhere, and name a documented reason where it did not use the file. Then each file is decoded once more,
and what we use is compared with what Pillow shows. Exit 1 if a rule is broken.
"""

import argparse
import subprocess
import sys
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image, ImageOps

from scorer.errors import ImageFault
from scorer.intake.formats import recognise
from scorer.intake.isolation import REASONS, IsolatedDecoder
from scorer.intake.pixels import PixelSpec, decode_image
from scorer.settings import ImageLimits
from tests import images
from tests.tiny import Market, listing, make_bundle

SIZE = 32
FAR = 12.0
"""Mean difference of 255 beyond which a picture deserves a look: another frame, other colours, another side up."""


def say(line: str) -> None:
    """To standard output, at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(folders: Sequence[str]) -> int:
    """Prints three tables; the exit code."""
    files = sorted(path for folder in folders for path in Path(folder).rglob("*") if path.is_file())
    with TemporaryDirectory() as scratch:
        broken = _through_the_job(files, Path(scratch))
    _beside_pillow(files)
    for rule in broken:
        say(f"BROKEN: {rule}")
    return 1 if broken else 0


def _through_the_job(files: Sequence[Path], scratch: Path) -> list[str]:
    market = Market(str(scratch / "market"), str(scratch / "bundle"))
    make_bundle(market.bundle)
    market.write_images(
        {"good.jpg": images.jpeg(), **{f"f/{n}.jpg": path.read_bytes() for n, path in enumerate(files)}}
    )
    rows = [listing(n, listing_id=f"file-{n:05}", image_uris=["good.jpg", f"f/{n}.jpg"]) for n in range(len(files))]
    market.write(rows)
    job = market.job()
    command = [sys.executable, "-m", "jobs.score", "--listings", job.listings, "--partition", str(job.partition)]
    command += ["--bundle", job.bundle, "--predictions", job.predictions]
    command += ["--set", "gates.override.images=a collection of odd files", "--set", "gates.override.degraded=likewise"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        return [f"the job ended with {ended.returncode}: {ended.stderr[-2000:]}"]
    found = market.read()
    outcomes: Counter[tuple[str, ...]] = Counter()
    broken = [] if found.num_rows == len(files) else [f"{found.num_rows} rows of {len(files)}"]
    for row in found.select(["listing_id", "status", "reasons", "images_used"]).to_pylist():
        reasons, path = tuple(row["reasons"]), files[int(row["listing_id"][5:])]
        outcomes[reasons] += 1
        documented = row["status"] == ("degraded" if reasons else "scored") and set(reasons) <= REASONS
        if not documented or row["images_used"] != 2 - len(reasons):
            broken.append(f"{path}: {row}")
    say(f"{len(files):,} files through the job:")
    for reasons, number in outcomes.most_common():
        say(f"  {number:6,}  {', '.join(reasons) or 'used'}")
    return broken


def _beside_pillow(files: Sequence[Path]) -> None:
    """What we use and Pillow does not, the other way round, and how far the pixels lie apart."""
    kinds: Counter[tuple[str, str]] = Counter()
    differences: list[tuple[float, Path]] = []
    spec, limits = PixelSpec(SIZE), ImageLimits()
    with IsolatedDecoder(spec, limits, 1) as isolated:
        for path in files:
            data = path.read_bytes()
            theirs = _as_pillow_shows_it(path)
            try:
                kind = recognise(data)[0]
                ours = decode_image(data, spec, limits, np.empty((SIZE, SIZE, 3), np.uint8), isolated.decode)
            except ImageFault as fault:
                kinds[
                    (
                        "-" if fault.reason == "image_unsupported" else "damaged",
                        "Pillow opens it" if theirs is not None else "nor Pillow",
                    )
                ] += 1
                if fault.reason != "image_unsupported" and theirs is not None:
                    say(f"  refused, though Pillow opens it: {path.name}: {fault}")
                continue
            kinds[(kind, "as Pillow" if theirs is not None else "Pillow refuses it")] += 1
            if theirs is not None:
                differences.append((float(np.abs(ours.astype(float) - theirs).mean()), path))
    for (kind, beside), number in sorted(kinds.items()):
        say(f"  {number:6,}  {kind}, {beside}")
    apart = sorted(difference for difference, _ in differences)
    if apart:
        say(f"Pixels: median difference {apart[len(apart) // 2]:.1f}, 95 % below {apart[int(len(apart) * 0.95)]:.1f}")
    for difference, path in sorted(differences, reverse=True):
        if difference > FAR:
            say(f"  {difference:6.1f}  {path.name}")


def _as_pillow_shows_it(path: Path) -> np.ndarray | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as opened:
                upright = ImageOps.exif_transpose(opened).convert("RGBA")
                white = Image.new("RGBA", upright.size, "white")
                flat = Image.alpha_composite(white, upright).convert("RGB")
                return np.asarray(flat.resize((SIZE, SIZE), Image.Resampling.BOX), float)
    except Exception:  # it raises whatever it likes, and that is an answer here
        return None


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+")
    sys.exit(main(parser.parse_args().folders))
