"""What belongs to a foreign model, as its user has it: the .keras file, the scaler, the listings with photographs."""

import io
import json
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from PIL import Image

from tests import images
from tests.tiny import CITIES, Market, listing

MEAN, SCALE = 95.0, 25.0


def saved(model: Any, folder: Path) -> str:
    """Where the model lies as a .keras file."""
    place = folder / "model.keras"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Keras's own arrays, when h5py copies them
        model.save(place)
    return str(place)


def rewritten(place: str, change: Callable[[dict[str, bytes]], None]) -> str:
    """The file with other members, as somebody would make it who wants more than to have a model loaded."""
    with zipfile.ZipFile(place) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return place


def with_config(place: str, change: Callable[[dict[str, Any]], None]) -> str:
    """The file with another configuration."""

    def edit(members: dict[str, bytes]) -> None:
        described = json.loads(members["config.json"])
        change(described)
        members["config.json"] = json.dumps(described).encode()

    return rewritten(place, edit)


def scaler_file(folder: Path) -> str:
    """A scaler of the one column `area`."""
    place = folder / "scaler.json"
    place.write_text(json.dumps({"mean": [MEAN], "scale": [SCALE], "names": ["area"]}))
    return str(place)


def features_file(folder: Path) -> str:
    """The columns of `tests.tiny.listing`: a number, a boolean, a category."""
    place = folder / "features.json"
    columns = [
        {"name": "area"},
        {"name": "garden", "kind": "boolean"},
        {"name": "city", "kind": "category", "values": CITIES},
    ]
    place.write_text(json.dumps({"features": columns}))
    return str(place)


def market(folder: Path, bundle: str, rows: int = 12) -> tuple[Market, list[dict[str, Any]], dict[str, bytes]]:
    """Listings with photographs; rows and files as written."""
    photos = {f"img/{number}.jpg": data for number, data in enumerate(images.photographs(7, width=90, height=60))}
    photos["img/5.jpg"] = images.oriented_jpeg(6)
    found = Market(str(folder), bundle)
    found.write_images(photos)
    rows_ = [listing(number) for number in range(rows)]
    found.write(rows_)
    return found, rows_, photos


def by_hand(
    rows: list[dict[str, Any]], photos: dict[str, bytes], size: int, places: int
) -> dict[str, npt.NDArray[Any]]:
    """What a user's own program makes of listings: scaled numbers, and pixels as Keras's load_img gives them."""
    features = np.array(
        [[(row["area"] - MEAN) / SCALE, row["garden"], *(row["city"] == city for city in CITIES)] for row in rows],
        np.float32,
    )
    pixels = np.zeros((len(rows), places, size, size, 3), np.float32)
    for at, row in enumerate(rows):
        for place, uri in enumerate(row["image_uris"][:places]):
            image = keras.utils.load_img(io.BytesIO(photos[uri]), target_size=(size, size))
            assert isinstance(image, Image.Image)
            pixels[at, place] = keras.utils.img_to_array(image) / 255.0
    return {"features": features, "photos": pixels}
