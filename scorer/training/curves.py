"""Losses by pass: kept for the bundle, and written where TensorBoard finds them."""

import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorflow.core.util import event_pb2

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Curve:
    """Losses of one fit, pass by pass.

    Attributes:
        training: on the rows that were learned from.
        validation: on the rows that decided when to stop.
        best: the pass whose weights were kept, counted from 1.
    """

    training: tuple[float, ...] = ()
    validation: tuple[float, ...] = ()
    best: int = 0

    def then(self, training: float, validation: float) -> "Curve":
        """With one more pass."""
        best = len(self.validation) + 1 if validation < min(self.validation, default=float("inf")) else self.best
        return Curve((*self.training, training), (*self.validation, validation), best)

    @property
    def passes(self) -> int:
        """Passes made."""
        return len(self.training)

    @property
    def stale(self) -> int:
        """Passes since the best one."""
        return len(self.validation) - self.best

    def arrays(self) -> dict[str, npt.NDArray[np.float64]]:
        """For a checkpoint."""
        return {
            "curve": np.array([self.training, self.validation], np.float64),
            "best_pass": np.array(float(self.best)),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> "Curve":
        """And back."""
        training, validation = arrays["curve"].tolist()
        return cls(tuple(training), tuple(validation), int(arrays["best_pass"]))


@dataclass
class Journal:
    """Where a fit tells its passes.

    Attributes:
        progress: gets one line per pass.
        tensorboard: folder for event files, one for each fit; None: none is written.
    """

    progress: Progress
    tensorboard: Path | None = None
    _files: dict[str, tf.io.TFRecordWriter] = field(default_factory=dict, repr=False)

    def tell(self, name: str, curve: Curve) -> None:
        """The last pass of a fit."""
        epoch, loss, validation = len(curve.training), curve.training[-1], curve.validation[-1]
        mark = ", best so far" if curve.best == epoch else ""
        self.progress(f"{name}: epoch {epoch}, loss {loss:.3f}, validation {validation:.3f}{mark}")
        if self.tensorboard is not None:
            self._write(name, event_pb2.Event(step=epoch, **_values(loss=loss, validation=validation)))

    def _write(self, name: str, event: event_pb2.Event) -> None:
        if name not in self._files:
            folder = Path(str(self.tensorboard)) / name.replace(" ", "_")
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"events.out.tfevents.{time.time_ns()}.{socket.gethostname()}"
            self._files[name] = tf.io.TFRecordWriter(str(path))
            # TensorBoard's own name for the format; without it, it takes the file for an old one.
            self._write(name, event_pb2.Event(wall_time=time.time(), file_version="brain.Event:2"))
        event.wall_time = time.time()
        self._files[name].write(event.SerializeToString())
        self._files[name].flush()


def _values(**scalars: float) -> dict[str, object]:
    values = [{"tag": tag, "simple_value": value} for tag, value in scalars.items()]
    return {"summary": {"value": values}}
