"""Trainings that are killed again and again: `python -m tests.faults.trainings`. Each ends with the undisturbed bundle.

Every child is the real command line (see zygote.py). Prints a table; exits 1 if a rule was broken.
"""

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scorer.errors import BundleError
from scorer.model.bundle import Bundle, load_bundle
from scorer.objectstore import ObjectStore
from tests.faults.processes import Child, Zygote, zygote
from tests.training.listings import SIZE, rows_with_images, write_listings

LISTINGS = 60
STORE = ObjectStore()

FROZEN = ("--fusion", "late_gate", "--set", "trained_stages=0", "--set", "image_weights=random")
"""The image tower stays as it is: images are embedded once, the number nets are all that is trained."""

TRAINED = ("--fusion", "concat", "--set", 'augmentation=["flip", "crop", "colour", "blur"]')
"""Everything is trained, with chance in it: augmentation, image dropout."""

DESIGNS = {"frozen": FROZEN, "trained": TRAINED}


class Training:
    """One training, told apart by its design and seed: once undisturbed, then killed as often as one likes."""

    def __init__(self, folder: Path, children: Zygote, design: str, seed: int = 0) -> None:
        """`folder` holds the listings."""
        self._folder, self._children, self._design, self._seed = folder, children, design, seed
        self._name = f"{design}-{seed}"
        self.starts, self.done = 0, False
        self.kills: Counter[str] = Counter()
        self.broken: list[str] = []
        began = time.monotonic()
        self.calm = self._start(f"{self._name}-calm")
        assert self.calm.wait() == 0, self.calm.text()
        self.seconds = time.monotonic() - began
        self.points: Counter[str] = Counter(dict(self.calm.facts())["points"])
        self.expected = load_bundle(str(folder / f"{self._name}-calm"), STORE)

    @property
    def place(self) -> Path:
        """Of its bundle."""
        return self._folder / self._name

    def killed(self, phase: str, share: float) -> str:
        """What a start said that dies at a point of a phase: `share` of the way through it as the undisturbed went."""
        return self._tried(kill=(phase, 1 + int(share * (self.points[phase] - 1))))

    def killed_after(self, seconds: float) -> str:
        """What a start said that dies wherever it is by then."""
        return self._tried(seconds=seconds)

    def finished(self) -> str:
        """What a start said that nobody disturbs."""
        said = self._tried()
        if self.visible() is None:
            self.broken.append(f"{self._name}: there is no bundle in the end: {said}")
        if left := sorted(path.name for path in (self._folder / f"{self._name}.state").iterdir()):
            self.broken.append(f"{self._name}: left {left} in its state")
        return said

    def _tried(self, kill: tuple[str, int] | None = None, seconds: float | None = None) -> str:
        if self.done:
            return ""
        child = self._start(self._name, kill)
        if seconds is not None:
            child.ended.wait(seconds)
            child.kill()
        if child.wait() == -9:
            self.kills[child.phase] += 1
        elif child.code == 0:
            self.done = True
        else:
            self.broken.append(f"{self._name}: ended with {child.code}: {child.text()}")
        self.visible()
        return child.text()

    def _start(self, name: str, kill: tuple[str, int] | None = None) -> Child:
        self.starts += 1
        place = self._folder / name
        arguments = [
            *("train", "--listings", str(self._folder), "--target", "price", "--bundle", str(place)),
            *("--recipe", "small", "--set", f"image_size={SIZE}", "--set", "epochs=7", "--set", f"seed={self._seed}"),
            *("--set", f"state={place}.state"),
            *DESIGNS[self._design],
        ]
        return self._children.start(arguments, kill=kill)

    def visible(self) -> Bundle | None:
        """What a reader finds now: no bundle, or the whole of the one that is expected."""
        try:
            found = load_bundle(str(self.place), STORE)
        except BundleError as error:
            if "There is no bundle" not in str(error):
                self.broken.append(f"{self._name}: half of a bundle: {error}")
            return None
        if (found.digest, found.metrics) != (self.expected.digest, self.expected.metrics):
            self.broken.append(f"{self._name}: another bundle than the undisturbed one: {found.digest}")
        return found


@contextmanager
def trainer(folder: Path) -> Iterator[Zygote]:
    """Listings in the folder, two of them with the same photo, and a process that starts trainings on them."""
    rows = rows_with_images(folder, LISTINGS)
    first, second = [row for row in rows if len(row["image_uris"]) == 3][:2]
    (folder / second["image_uris"][0]).write_bytes((folder / first["image_uris"][0]).read_bytes())
    write_listings(folder, rows)
    with zygote(folder / "children", also=("scorer.training.train",)) as children:
        yield children


def main() -> int:
    """The campaign that `make kills` wants: kills at points of every phase, and some by the clock."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--trainings", type=int, default=5, help="of each design")
    parser.add_argument("--seed", type=int, default=0)
    wanted = parser.parse_args()
    began, kills, starts, broken = time.monotonic(), Counter[str](), 0, []
    with tempfile.TemporaryDirectory(prefix="trainings-") as name, trainer(Path(name)) as children:
        for seed in range(wanted.seed, wanted.seed + wanted.trainings):
            for design in DESIGNS:
                chance, training = random.Random(f"{design} {seed}"), Training(Path(name), children, design, seed)
                # A start that goes on has fewer points in what was kept: later phases are killed earlier in them.
                for phase, until in (("read", 1.0), ("embed", 0.9), ("fit", 0.8), ("bundle", 0.6), ("clear", 0.4)):
                    if training.points[phase]:
                        training.killed(phase, chance.uniform(0, until))
                    training.killed_after(chance.uniform(0, 0.4 * training.seconds))
                training.finished()
                starts += training.starts
                kills += training.kills
                broken += training.broken
    lines = [f"trainings {2 * wanted.trainings}, starts {starts}, kills {sum(kills.values())}"]
    lines.append(f"{time.monotonic() - began:,.0f} s; killed in {dict(kills.most_common())}")
    sys.stdout.write(
        "\n".join([*lines, *broken, "No rule was broken." if not broken else f"{len(broken)} PROBLEMS", ""])
    )
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())
