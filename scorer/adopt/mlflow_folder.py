"""A model that MLflow's Keras flavour saved: where in its folder the .keras file is. Nothing of the folder is run."""

from typing import Any

import yaml

from scorer.errors import BundleError, NotFound
from scorer.objectstore import ObjectStore, join

MLMODEL = "MLmodel"
MAX_BYTES = 1 << 20
MODEL = "model.keras"


def keras_file(uri: str, store: ObjectStore) -> str:
    """The .keras file of a model.

    Args:
        uri: a folder or prefix that holds an MLmodel; anything else is given back.
        store: where it is.

    Raises:
        BundleError: the folder's model is of another flavour or format.
    """
    if uri.endswith(".keras"):
        return uri
    where = join(uri, MLMODEL)
    try:
        data = store.get(where, max_bytes=MAX_BYTES).data
    except NotFound:
        return uri  # whoever loads it says what is wrong
    flavour = _flavour(data, where)
    if flavour.get("save_exported_model"):
        raise BundleError(
            f"{where} holds a model that was saved with save_exported_model=True: a graph without its layers. No bundle"
            " was written. Save it with save_exported_model=False."
        )
    folder = flavour.get("data", "")
    steps = folder.split("/") if isinstance(folder, str) else [".."]
    if any(step in ("", ".", "..") for step in steps):
        raise BundleError(
            f"{where} names {str(folder)[:80]!r} as its data, which is no folder in it. Nothing was read."
        )
    return join(uri, folder, MODEL)


def _flavour(data: bytes, where: str) -> dict[str, Any]:
    try:
        found = yaml.safe_load(data)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise BundleError(f"{where} is no YAML: {str(error)[:200]}. No bundle was written.") from None
    flavours = found.get("flavors") if isinstance(found, dict) else None
    if not isinstance(flavours, dict):
        raise BundleError(f"{where} names no flavours. No bundle was written.")
    flavour = flavours.get("keras")
    if not isinstance(flavour, dict):
        known = ", ".join(sorted(str(name)[:40] for name in flavours)) or "none"
        raise BundleError(
            f"{where} has the flavours {known}; a bundle is made of keras alone, whose file can be read without running"
            " anything. No bundle was written. Save the model with mlflow.keras.save_model, by Keras 3."
        )
    return flavour
