"""What is measured on: images, tables and models in one folder, made once and then found again."""

import hashlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks import photographs, tables, watch

ORIGINALS = 256
"""Generated photographs that are really different; further files repeat their pixels under other bytes."""

CHECKOUT = watch.CHECKOUT


@dataclass(frozen=True)
class Workload:
    """Local files of one source of images.

    Attributes:
        folder: images/, tables/, models/ below it.
    """

    folder: Path

    @classmethod
    def at(cls, work: Path) -> "Workload":
        """Images of one source never mix with those of another."""
        source = os.environ.get("BENCH_IMAGES", "")
        name = hashlib.sha256(source.encode()).hexdigest()[:8] if source else "generated"
        return cls(work.resolve() / name)

    @property
    def runs(self) -> Path:
        """What the runs of this process write; another process on the same workload has a folder of its own."""
        return self.folder / f"runs-{os.getpid()}"

    def images(self, count: int) -> list[Path]:
        """At least so many distinct files exist; returns exactly so many."""
        folder = self.folder / "images"
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / f"{number:06}.jpg" for number in range(count)]
        missing = [number for number, path in enumerate(paths) if not path.exists()]
        if missing:
            say(f"writing {len(missing):,} images to {folder}")
            originals = photographs.originals(min(count, ORIGINALS))
            for number in missing:
                paths[number].write_bytes(photographs.distinct(originals, number))
        return paths

    def listings(self, rows: int, most_images: int) -> Path:
        """Folder of one partition of `rows` listings over the first `most_images` images."""
        folder = self.folder / "tables" / f"{rows}-of-{most_images}"
        paths = [str(path) for path in self.images(min(rows, most_images))]
        tables.write(tables.listings(paths, rows), folder)
        return folder

    def model(self, name: str) -> tuple[Path, Path]:
        """Bundle, and Keras file with the same weights."""
        folder = self.folder / "models" / f"{name}-{_code()}"
        bundle, keras_file = folder / "bundle", folder / "model.keras"
        if not (folder / "scaler.json").exists():  # it is written last
            say(f"making the model for {name} pixels in {folder}")
            command = [sys.executable, "-m", "benchmarks.models", name, str(bundle), str(keras_file)]
            watch.run(command, folder / "log", environment={"TF_CPP_MIN_LOG_LEVEL": "3"})
        return bundle, keras_file


def _code() -> str:
    """Digest of the code that makes bundles: after a change of it they are made again."""
    files = [*sorted((CHECKOUT / "scorer" / "model").rglob("*.py")), CHECKOUT / "scorer" / "intake" / "pixels.py"]
    files += [CHECKOUT / "benchmarks" / name for name in ("models.py", "tables.py", "photographs.py")]
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()[:10]


def say(text: str) -> None:
    """Progress, on standard error."""
    print(f"benchmarks: {text}", file=sys.stderr, flush=True)
