"""The listings that were missed most, each with a small picture of what the model saw."""

import base64

import cv2
import numpy as np
import simplejpeg

from scorer.intake.rows import ID
from scorer.training.card.content import Worst
from scorer.training.card.measures import Tested
from scorer.training.images import Pixels

MOST = 12
SIDE = 112
"""Pixels: twelve pictures take some 60 KB."""

QUALITY = 70


def worst(tested: Tested, pixels: Pixels) -> tuple[Worst, ...]:
    """The most wrong first.

    Args:
        tested: the test listings.
        pixels: uint8 [slots, S, S, 3]; a picture is the square that the model was given.
    """
    errors = tested.errors(tested.predicted)
    found = []
    for row in np.argsort(-errors, kind="stable")[:MOST]:
        slots = tested.images[row][tested.images[row] >= 0]
        found.append(
            Worst(
                listing_id=str(tested.table.column(ID)[int(row)].as_py()),
                actual=float(tested.actual[row]),
                predicted=float(tested.predicted[row]),
                error=float(errors[row]),
                images=len(slots),
                picture=picture(np.asarray(pixels[slots[0]])) if len(slots) else "",
            )
        )
    return tuple(found)


def picture(pixels: Pixels) -> str:
    """A data URI of uint8 [S, S, 3], shrunk to `SIDE` where it is larger."""
    if len(pixels) > SIDE:
        pixels = np.asarray(cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)
    encoded = simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality=QUALITY, colorspace="RGB")
    return "data:image/jpeg;base64," + base64.b64encode(encoded).decode()
