"""What training puts into a bundle, and the files that it becomes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from scorer.errors import BundleError
from scorer.intake.pixels import PIXELS_VERSION, PixelSpec
from scorer.model import document, golden, strict_json
from scorer.model.document import Document, FeatureColumn
from scorer.model.golden import GoldenRow, first_problem
from scorer.model.preprocessing import Preprocessing
from scorer.model.readout import Readout, Target
from scorer.model.target import TargetTransform

PREPROCESSING = "preprocessing.json"
PROFILE = "profile.json"
IMAGE_TOWER = "image_tower.pb"
HEAD = "head.pb"

CARD_PAGE = "card.html"
CARD_MARKDOWN = "card.md"
CARD = (CARD_PAGE, CARD_MARKDOWN)
"""For people; bundles that were not trained here need not have them."""

REQUIRED = (document.FILE, PREPROCESSING, PROFILE, IMAGE_TOWER, HEAD, golden.ROWS)
OURS = re.compile("|".join([*map(re.escape, REQUIRED + CARD), golden.image_path("[0-9a-f]{64}").replace(".", r"\.")]))
"""Matches the path of every file that a bundle of ours consists of, but for digests.json."""


@dataclass(frozen=True)
class BundleContent:
    """What training puts into a bundle.

    Attributes:
        name: for people and for the predictions' column.
        version: None: taken from the digest of everything else.
        preprocessing: features, in order.
        pixels: how images are decoded.
        max_images: images used per listing.
        target_column: what was learned.
        target: back from the network's output to the target's unit.
        target_sd: standard deviation of the target in training, its unit.
        image_tower: frozen graph, uint8 [B, S, S, 3] -> float32 [B, D].
        head: frozen graph, features [B, F], embeddings [B, K, D], mask [B, K] -> outputs [B].
        embedding_size: D.
        outputs: the head's, the first of them "prediction"; for several classes one for each, none of them that.
        metrics: plain JSON.
        profile: plain JSON: how features and scores were distributed.
        training: plain JSON: data and settings.
        golden: rows that are scored again at every load.
        card: path (one of `CARD`) -> content.
        readout: how the outputs are read; by default as a regression without intervals.
        not_reusable: why the image tower only passes pixels on; None: it embeds.
    """

    name: str
    version: str | None
    preprocessing: Preprocessing
    pixels: PixelSpec
    max_images: int
    target_column: str
    target: TargetTransform
    target_sd: float
    image_tower: bytes = field(repr=False)
    head: bytes = field(repr=False)
    embedding_size: int
    outputs: tuple[str, ...]
    metrics: dict[str, Any]
    profile: dict[str, Any]
    training: dict[str, Any]
    golden: tuple[GoldenRow, ...] = field(repr=False)
    card: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    readout: Readout = field(default_factory=Readout)
    not_reusable: str | None = None

    def to_files(self) -> dict[str, bytes]:
        """Path -> content of every file but digests.json. Raises BundleError: the content is no valid bundle."""
        files = {
            document.FILE: self._described().to_json(),
            PREPROCESSING: strict_json.dump(self.preprocessing.to_dict()),
            PROFILE: strict_json.dump(self.profile),
            IMAGE_TOWER: self.image_tower,
            HEAD: self.head,
            **{path: self.card[path] for path in CARD if path in self.card},
        }
        return files | golden.to_files(self.golden, self.pixels)

    def _described(self) -> Document:
        try:
            return Document(
                format=2,
                name=self.name,
                version=self.version,
                features=tuple(
                    FeatureColumn(name=feature.name, kind=feature.kind, type=feature.arrow_type)
                    for feature in self.preprocessing.features
                ),
                pixels=self.pixels.to_dict(),
                pixels_version=PIXELS_VERSION,
                max_images=self.max_images,
                embedding_size=self.embedding_size,
                outputs=self.outputs,
                target=Target(column=self.target_column, transform=self.target.to_dict(), sd=self.target_sd),
                readout=self.readout,
                metrics=self.metrics,
                training=self.training,
                versions=document.versions_here(),
                not_reusable=self.not_reusable,
            )
        except ValidationError as error:
            raise BundleError(
                f"The bundle was not saved: its description makes no sense: {first_problem(error)}."
            ) from None
