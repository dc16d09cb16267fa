"""pyarrow in a process of our own."""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType


def spare_pandas() -> None:
    """Keep pyarrow from importing pandas: a second and more, to ask of each value whether it is a Series.

    pyarrow looks for it once; here it finds none, and remembers that. Whoever imports pandas afterwards gets it, and
    `to_pandas` looks again. Not for a library: in other people's processes there are Series.
    """
    import pyarrow as pa

    if "pandas" in sys.modules:
        return
    nowhere = _Nowhere()
    sys.meta_path.insert(0, nowhere)
    try:
        pa.scalar(0)
    finally:
        sys.meta_path.remove(nowhere)


class _Nowhere(MetaPathFinder):
    """Where pandas is not found."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        """Raise ModuleNotFoundError for pandas; of other modules nothing is known here."""
        if fullname == "pandas":
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
