"""TensorFlow's import, without what scoring has no use for."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec

from scorer.telemetry import hushed

NOT_NEEDED = ("keras.src", "h5py", "scipy")
"""TensorFlow imports Keras at its end so that optimizers get registered, and with it pandas and scikit-learn; the other
two are for an old Keras of its own. What of these cannot be imported it does without: 6.6 CPU-s on an AMD core and not
11.5 to 13.7. Scoring runs frozen graphs and asks no Keras."""


@contextmanager
def tensorflow_alone() -> Iterator[None]:
    """A block whose first import of TensorFlow brings no Keras along; whoever wants Keras later imports it as ever.

    What native code writes on standard error meanwhile is kept off it, see `hushed`.
    """
    finder = _Without(threading.get_ident())
    if "tensorflow" not in sys.modules:
        sys.meta_path.insert(0, finder)
    try:
        with hushed():
            yield
    finally:
        if finder in sys.meta_path:
            sys.meta_path.remove(finder)


class _Without:
    """Finds nothing, and lets nobody else find what is not needed, for one thread."""

    def __init__(self, thread: int) -> None:
        self._thread = thread

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Never a spec.

        Raises:
            ModuleNotFoundError: the module is not needed now.
        """
        if name in NOT_NEEDED and threading.get_ident() == self._thread:
            raise ModuleNotFoundError(f"{name} is left out while TensorFlow is imported for scoring", name=name)
        return None
