"""Values as words on a page: data made harmless and visible, numbers as people read them."""

import re
import unicodedata
from datetime import datetime

from markupsafe import Markup, escape

LONGEST = 120
"""Characters of a text from outside that a page shows; ids and URIs may have any length."""

UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Categories of characters that show nothing, or reorder what stands around them: written as their code instead."""

_CREDENTIALS = re.compile(r"(?<=://)[^/\s@]+@")
_SIGNED = re.compile(
    r"(?i)([?&][^=&?\s]{0,64}(?:signature|token|key|secret|credential|password)[^=&?\s]{0,64}=)[^&\s]+"
)
"""Names of bounded length: a text of a hundred thousand `?key` is searched in a moment, and not in hours."""


def visible(value: object, longest: int = LONGEST) -> str:
    """A text from outside as it may be shown: nothing hidden in it, nothing reordered, no credentials, and not endless.

    Args:
        value: a listing's id, a URI, an error's text.
        longest: characters that are kept; how many there were is said.

    Returns:
        Text, not markup: a template still escapes it.
    """
    text = withheld(str(value))
    shown = "".join(_shown(letter) for letter in text[:longest])
    return f"{shown}… ({len(text):,} characters)" if len(text) > longest else shown


def withheld(text: str) -> str:
    """The text without what opens doors: user and password of a URL, values of signing parameters."""
    return _SIGNED.sub(r"\1…", _CREDENTIALS.sub("…@", text))


def _shown(letter: str) -> str:
    return f"[U+{ord(letter):04X}]" if unicodedata.category(letter) in UNSEEN else letter


def data(value: object, longest: int = LONGEST) -> Markup:
    """The text as markup that is kept apart from the direction of the text around it."""
    return Markup("<bdi>") + escape(visible(value, longest)) + Markup("</bdi>")


def lines(value: object, longest: int) -> Markup:
    """The same for a text of several lines, which stay lines."""
    return Markup("\n").join(data(line, longest) for line in str(value).splitlines())


def count(number: float) -> str:
    """1,234,567."""
    return f"{number:,.0f}"


def share(part: float, whole: float = 1.0) -> str:
    """96.8 %; what is there is never shown as nothing, nor what is missing as all."""
    if not whole:
        return "–"
    percent = 100 * part / whole
    if 0 < percent < 0.1:
        return "< 0.1 %"
    if 99.9 < percent < 100:
        return "> 99.9 %"
    return f"{percent:.0f} %" if percent in (0, 100) else f"{percent:.1f} %"


def percent(value: float) -> str:
    """A share on an axis: 7.5 %, 20 %."""
    return f"{100 * value:.3g} %"


def change(value: float) -> str:
    """A relative change: +16 %, −25 %."""
    return f"{100 * value:+,.0f} %".replace("-", "−")


def number(value: float | None) -> str:
    """A score or a feature's value with as many digits as its size deserves."""
    if value is None:
        return "–"
    size = abs(value)
    if size >= 1e15 or 0 < size < 1e-4:
        return f"{value:.3g}"
    if size >= 1000:
        return f"{value:,.0f}"
    digits = 4 if size < 1 else 2 if size < 100 else 1
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def duration(seconds: float) -> str:
    """4.2 s, 3 min 20 s, 2 h 5 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def moment(when: datetime | None) -> str:
    """2026-11-24 04:12 UTC."""
    return f"{when:%Y-%m-%d %H:%M} UTC" if when else "–"


def plural(number_of: int, one: str, many: str = "") -> str:
    """1 listing, 2 listings."""
    return f"{number_of:,} {one if number_of == 1 else many or one + 's'}"
