"""Figures and strangers' text as they stand on a terminal."""

from typing import Any


def figure(value: Any, form: str = ",.4g", sign: bool = False) -> str:
    """Four digits that matter; large ones in full, never as a power of ten. A dash where there is none."""
    if value is None:
        return "-"
    plus = "+" if sign else ""
    return f"{value:{plus},.0f}" if form == ",.4g" and abs(value) >= 1000 else format(value, plus + form)


def visible(text: str) -> str:
    """Ids, URIs and values are strangers' text: nothing in them steers the terminal."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text[:200])


def harmless(text: str) -> str:
    """A message of several lines in which names of strangers may stand, whole."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "\ufffd" for letter in text)
