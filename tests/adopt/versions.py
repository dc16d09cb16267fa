"""Models saved by other versions of Keras, loaded and cut by this one: `python -m tests.adopt.versions 3.13 3.14`.

For each version an environment is set up (0.7 GB to fetch, from uv's cache if it is there), every architecture is
saved there with what it predicts, and here it is loaded, cut and compared. Ends with 1 if one of them differs.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
UV = str(Path(sys.executable).with_name("uv"))
HERE = "here"
NEEDED = ("tensorflow", "pydantic")
"""What `save` imports, besides Keras."""


def main(versions: list[str]) -> int:
    """Print a line for each model; 0 if all are as they were."""
    failed = 0
    with tempfile.TemporaryDirectory(prefix="scorer-keras-") as folder:
        for version in versions:
            python = _environment(version, Path(folder) / f"env-{version}") if version != HERE else sys.executable
            saved = Path(folder) / version
            saved.mkdir()
            environ = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
            command = [python, "-m", "tests.adopt.versions", "--save", str(saved)]
            subprocess.run(command, cwd=saved, env=environ, check=True)
            failed += _compare(saved)
    return 1 if failed else 0


def _environment(version: str, place: Path) -> str:
    python = str(place / "bin" / "python")
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, str(place)], check=True)
    install = [UV, "pip", "install", "--quiet", "--python", python, f"keras~={version}.0", *NEEDED]
    subprocess.run(install, check=True)
    return python


def save(folder: Path) -> None:
    """Runs under the other version: every architecture, with random rows and what the model makes of them."""
    import keras
    import tensorflow as tf

    from scorer.model.split.proof import listings
    from scorer.model.split.wiring import wire
    from tests.model.split.architectures import ARCHITECTURES, HEAVY

    for name, architecture in {**ARCHITECTURES, **HEAVY}.items():
        keras.utils.set_random_seed(21)
        place = folder / name.replace(" ", "_")
        try:
            model = architecture.build()
        except (AttributeError, TypeError, ValueError) as error:
            _say(keras.__version__, name, f"cannot be built there ({error!r})")
            continue
        wired = wire(model, architecture.wiring)
        rows = listings(wired, seed=2)
        blanked = np.where(rows.mask[..., None, None, None], rows.images, 0).astype(np.uint8)
        given = wired.numbers(tf.constant(rows.features), tf.constant(rows.mask))
        given |= wired.pictures(tf.constant(blanked))
        inputs = keras.tree.pack_sequence_as(model.input, [given[index].numpy() for index in range(len(given))])
        outputs = keras.tree.flatten(model.predict(inputs, verbose=0))
        model.save(f"{place}.keras")
        np.savez(f"{place}.npz", *outputs)
        Path(f"{place}.json").write_text(json.dumps({"name": name, "keras": keras.__version__}))


def _say(version: str, name: str, said: str) -> None:
    sys.stdout.write(f"{version}  {name}: {said}"[:200] + "\n")
    sys.stdout.flush()


def _compare(folder: Path) -> int:
    failed = 0
    for described in sorted(folder.glob("*.json")):
        facts: dict[str, Any] = json.loads(described.read_text())
        try:
            said = _cut_here(described.with_suffix(".keras"), facts["name"])
        except Exception as error:
            failed += 1
            said = f"FAILED {error!r}"
        _say(facts["keras"], facts["name"], said)
    return failed


def _cut_here(place: Path, name: str) -> str:
    import tensorflow as tf

    from scorer.adopt.keras_file import load_keras
    from scorer.model.split import split
    from scorer.model.split.proof import listings, scores
    from scorer.objectstore import ObjectStore
    from tests.model.split.architectures import ARCHITECTURES, HEAVY

    architecture = {**ARCHITECTURES, **HEAVY}[name]
    found = split(load_keras(str(place), ObjectStore()), architecture.wiring)
    with np.load(place.with_suffix(".npz")) as kept:
        outputs = [tf.constant(kept[key]) for key in kept.files]
    expected = {key: values.numpy() for key, values in found.columns.split(outputs).items()}
    now = scores(found.whole, listings(found.wired, seed=2))
    worst = max(float(np.abs(now[key] - values).max() / np.abs(values).max()) for key, values in expected.items())
    cut = architecture.embedding if found.not_reusable is None else None
    assert worst < 1e-4, f"scores differ by {worst:.2g}"
    assert cut == architecture.embedding, found.not_reusable
    return f"{found.embedding_size if found.not_reusable is None else 'uncut'}, scores within {worst:.1g}"


if __name__ == "__main__":
    if sys.argv[1] == "--save":
        save(Path(sys.argv[2]))
    else:
        sys.exit(main(sys.argv[1:]))
