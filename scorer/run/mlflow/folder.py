"""Writes the folder: MLmodel with a signature, the bundle as it is, and what an environment needs."""

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import yaml

from scorer.errors import NotFound, SettingsError
from scorer.model.bundle import Bundle
from scorer.model.content import CARD_MARKDOWN
from scorer.model.digests import NAME, SIGNATURE
from scorer.model.preprocessing import Feature
from scorer.objectstore import ObjectStore, canonical, join

LOADER = "scorer.run.mlflow.loader"
DATA = "bundle"

INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32")


def write_folder(bundle: Bundle, folder: str, store: ObjectStore) -> list[str]:
    """Write a bundle as a model of MLflow's.

    Args:
        bundle: as loaded: every file was found to be the one that was saved.
        folder: local folder or S3 prefix, new or empty.
        store: where.

    Returns:
        The paths below it.

    Raises:
        SettingsError: something is there already.
        BundleError: a file of the bundle changed meanwhile.
    """
    folder = canonical(folder)
    if present := store.list_all(folder):
        raise SettingsError(
            f"{folder} holds {len(present):,} files already, {present[0].uri} for one. Nothing was written."
            " Name a new or empty folder."
        )
    files = {join(DATA, path): bundle.read(path) for path in bundle.digests.files}
    files[join(DATA, NAME)] = store.get(join(bundle.uri, NAME)).data
    with suppress(NotFound):  # it was not signed
        files[join(DATA, SIGNATURE)] = store.get(join(bundle.uri, SIGNATURE)).data
    if card := files.get(join(DATA, CARD_MARKDOWN)):
        files["README.md"] = card
    size = sum(map(len, files.values()))
    files["requirements.txt"] = requirements(bundle).encode()
    files["python_env.yaml"] = _yaml({"python": _python(bundle), "dependencies": ["-r requirements.txt"]})
    files["MLmodel"] = _yaml(mlmodel(bundle, size))  # last: a folder without it is no model yet
    for path, data in files.items():
        store.put(join(folder, path), data)
    return sorted(files)


def mlmodel(bundle: Bundle, size: int) -> dict[str, Any]:
    """The content of MLmodel. The same bundle gives the same."""
    return {
        "flavors": {
            "python_function": {
                "loader_module": LOADER,
                "data": DATA,
                "python_version": _python(bundle),
                "env": {"virtualenv": "python_env.yaml"},
            },
            "scorer": {"bundle": DATA, "digest": bundle.digest},
        },
        "metadata": {"name": bundle.name, "version": bundle.version, "digest": bundle.digest},
        "model_size_bytes": size,
        "model_uuid": bundle.digest[:32],
        "signature": signature(bundle),
        "utc_time_created": bundle.digests.created_at.removesuffix("+00:00").replace("T", " "),
    }


def signature(bundle: Bundle) -> dict[str, str | None]:
    """MLflow's signature: the features, the images, and what comes out, as JSON within YAML."""
    inputs: list[Mapping[str, Any]] = [
        {"type": _type_of(feature), "name": feature.name, "required": True} for feature in bundle.preprocessing.features
    ]
    images = {"type": "array", "items": {"type": "string"}, "name": "image_uris", "required": False}
    outputs = [{"type": "double", "name": name, "required": True} for name in bundle.scores]
    outputs += [
        {"type": "long", "name": "images_used", "required": True},
        {"type": "string", "name": "reasons", "required": True},
    ]
    return {"inputs": json.dumps([*inputs, images]), "outputs": json.dumps(outputs), "params": None}


def requirements(bundle: Bundle) -> str:
    """The packages that the scores came from, in pip's form; `scorer` itself is no name to fetch from an index."""
    found = [
        f"{package}=={version}"
        for package, version in sorted(bundle.versions.items())
        if package not in ("python", "scorer")
    ]
    ours = bundle.versions.get("scorer", "the same version")
    return "\n".join([f"# scorer {ours} itself: from its wheel, see docs/mlflow.md.", *found, "pandas", ""])


def _type_of(feature: Feature) -> str:
    """A column that had gaps is a double in pandas, whatever it was in Parquet."""
    if feature.kind == "boolean":
        return "boolean"
    if feature.kind == "category":
        return "string"
    gaps = bool(getattr(feature, "flag_missing", False))
    return "long" if feature.arrow_type in INTEGERS and not gaps else "double"


def _python(bundle: Bundle) -> str:
    return str(bundle.versions.get("python", "3.11"))


def _yaml(value: Any) -> bytes:
    return yaml.safe_dump(value, sort_keys=True, allow_unicode=True).encode()
