"""Models are saved by other versions of Keras in environments that hold what that takes, and no more."""

import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

from tests.adopt.versions import NEEDED, ROOT

SAVE = """
import sys
from pathlib import Path

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name in absent:
            raise ModuleNotFoundError(name, name=name)

absent = set({absent!r})
sys.meta_path.insert(0, Absent())
from tests.adopt.versions import save
from tests.model.split import architectures

first = next(iter(architectures.ARCHITECTURES))
architectures.ARCHITECTURES = {{first: architectures.ARCHITECTURES[first]}}
architectures.HEAVY = {{}}
save(Path({folder!r}))
"""


def test_saving_imports_nothing_that_is_not_installed_there(tmp_path: Path) -> None:
    there = _with_all_that_they_need({"keras", *NEEDED})
    absent = sorted(module for module, names in packages_distributions().items() if not there & set(map(_plain, names)))
    assert {"pyarrow", "boto3", "sklearn"} <= set(absent)
    program = SAVE.format(absent=[name for name in absent if name not in ("scorer", "tests")], folder=str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert [path.suffix for path in sorted(tmp_path.iterdir())] == [".json", ".keras", ".npz"]


def _with_all_that_they_need(names: set[str]) -> set[str]:
    """Distributions and what they require, without extras."""
    found: set[str] = set()
    while names:
        name = _plain(names.pop())
        if name in found:
            continue
        found.add(name)
        try:
            needed = requires(name) or []
        except PackageNotFoundError:  # of another system or another Python
            continue
        names |= {re.split(r"[^A-Za-z0-9._-]", text, maxsplit=1)[0] for text in needed if "extra ==" not in text}
    return found


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
