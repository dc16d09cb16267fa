"""Marks where a training is, and kills it there; see shim.py."""

import os
import shutil
from typing import Any

from tests.faults.shim import STORE_CALLS, Shim

ASKED = 3
"""One pass in so many is kept: small nets end before the ten seconds that lie between two checkpoints are over."""


class TrainingShim(Shim):
    """Every pass, every request to the store and every file on its way to its name is two points, before and after."""

    def install(self) -> None:
        """Patch the product in this process."""
        from scorer.objectstore import ObjectStore
        from scorer.training import embed, train
        from scorer.training.curves import Journal
        from scorer.training.state import Checkpoint, State
        from scorer.training.ways import Nets

        embed.TOLD_EVERY = embed.BATCH  # every batch is kept
        self._wrap(train, "read_examples", "read")
        self._wrap(train, "embed_images", "embed")
        self._wrap(Nets, "fused", "fit")
        self._wrap(train, "assess", "judge")
        self._wrap(train, "save_bundle", "bundle")
        self._wrap(State, "clear", "clear")
        for owner, name in ((Journal, "tell"), (os, "replace"), (shutil, "rmtree")):
            self._wrap(owner, name, None)
        for name in STORE_CALLS:
            self._wrap(ObjectStore, name, None)
        self._patch_delete(ObjectStore)
        self._keep_more(Checkpoint)

    def _keep_more(self, checkpoint: Any) -> None:
        """A checkpoint at every third asking, whatever the clock says."""
        inner, asked = checkpoint.due, 0

        def due(this: Any, last: bool) -> bool:
            nonlocal asked
            asked += 1
            return bool(inner(this, last or asked % ASKED == 0))

        checkpoint.due = due
