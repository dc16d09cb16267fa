"""The configuration in a .keras file, held to the vocabulary before Keras sees it."""

from collections.abc import Mapping
from typing import Any

from scorer.adopt import vocabulary
from scorer.errors import BundleError

MAX_DEPTH = 200
MAX_OBJECTS = 200_000
"""Dictionaries in all. The largest model of keras.applications has some 20,000."""

DROPPED = frozenset({"compile_config"})
"""Optimizer, losses and metrics: for training, and a road into code of their own."""


def checked(config: Mapping[str, Any], what: str) -> dict[str, Any]:
    """A copy of what describes a model, without what only training needs.

    Args:
        config: config.json, parsed.
        what: the file, for messages.

    Raises:
        BundleError: it names a class or function that is not in the vocabulary; the message names it.
    """
    copied = _Check(what).value(config, "the model", 0)
    assert isinstance(copied, dict)
    return copied


class _Check:
    def __init__(self, what: str) -> None:
        self._what = what
        self._objects = 0

    def value(self, value: Any, where: str, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise self._refusal("a description that is nested too deep", where)
        if isinstance(value, list):
            return [self.value(inner, where, depth + 1) for inner in value]
        if not isinstance(value, dict):
            return value
        self._objects += 1
        if self._objects > MAX_OBJECTS:
            raise self._refusal(f"more than {MAX_OBJECTS:,} parts", where)
        if "class_name" in value:
            where = self._named(value, where)
        return {name: self.value(inner, where, depth + 1) for name, inner in value.items() if name not in DROPPED}

    def _named(self, value: Mapping[str, Any], where: str) -> str:
        """Raises BundleError unless this object is in the vocabulary; returns what to call it."""
        name, config = value["class_name"], value.get("config")
        if isinstance(name, str) and name in vocabulary.DATA:
            return where
        module, registered = value.get("module"), value.get("registered_name")
        if not isinstance(name, str) or not isinstance(module, str):
            raise self._refusal(f"{name!r} without a module of Keras: a class of its own, or an old format", where)
        if name == "function":
            known = isinstance(config, str) and config in vocabulary.FUNCTIONS.get(module, frozenset())
            if not known or registered not in (None, "function", config):
                raise self._refusal(f"the function {config!r} of {module!r}", where)
            return where
        if name not in vocabulary.CLASSES.get(module, frozenset()) or registered not in (None, name):
            shown = f"{module}.{name}" + (f" (registered as {registered!r})" if registered not in (None, name) else "")
            raise self._refusal(f"{_kind(name)} {shown}", where)
        called = config.get("name") if isinstance(config, dict) else None
        return f"{called!r} ({name})" if isinstance(called, str) else where

    def _refusal(self, found: str, where: str) -> BundleError:
        return BundleError(
            f"{self._what} holds {found}, in {where}. Only layers and operations of Keras that compute on numbers are"
            " built from a file; nothing of it was loaded and no bundle was written. Replace it by layers of Keras or"
            " by keras.ops, or save the bundle from your own program (see docs/your-own-model.md)."
        )


def _kind(name: str) -> str:
    return "a Lambda layer, which is code," if name in ("Lambda", "__lambda__") else "the class"
