"""A page as its reader's programs see it: elements, their attributes, the text of each."""

import base64
import hashlib
import re
from collections import Counter
from dataclasses import dataclass, field
from html.parser import HTMLParser
from itertools import pairwise

VOID = {"meta", "link", "img", "br", "rect", "path", "circle", "hr"}
LOADING = {"src", "href", "srcset", "data", "poster", "action", "background", "xlink:href"}


@dataclass
class Element:
    """One element; `text` is that of it and all below."""

    tag: str
    attributes: dict[str, str]
    above: tuple[str, ...]
    text: str = ""


@dataclass
class Parsed(HTMLParser):
    """A whole page."""

    source: str
    elements: list[Element] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._open: list[Element] = []
        self.feed(self.source)
        self.close()
        assert not self._open, f"never closed: {[element.tag for element in self._open]}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), f"<{tag}> has an attribute twice"
        above = tuple(element.tag for element in self._open)
        element = Element(tag, {name: value or "" for name, value in attrs}, above)
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> closes nothing"
        assert self._open[-1].tag == tag, f"</{tag}> closes <{self._open[-1].tag}>"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text += data

    def all(self, tag: str, **attributes: str) -> list[Element]:
        """Every element of a tag, with these attributes."""
        return [
            element
            for element in self.elements
            if element.tag == tag and all(element.attributes.get(name) == value for name, value in attributes.items())
        ]

    @property
    def text(self) -> str:
        """All that is shown."""
        (body,) = self.all("body")
        return body.text


def problems(page: Parsed) -> list[str]:
    """What is wrong with a page by itself: what it loads, runs, leaves unnamed or out of order."""
    return [*_loads(page), *_policy(page), *_names(page), *_headings(page), *_landmarks(page)]


def _loads(page: Parsed) -> list[str]:
    found = []
    for element in page.elements:
        if element.tag in ("script", "iframe", "object", "embed", "form", "base", "foreignobject"):
            found.append(f"there is a <{element.tag}>")
        for name, value in element.attributes.items():
            if name.startswith("on") or name == "style":
                found.append(f"<{element.tag} {name}>")
            link = element.tag == "a" and value.startswith(("#", "file://"))
            if name in LOADING and not (link or value.startswith("data:")):
                found.append(f"<{element.tag} {name}={value[:60]!r}> leads out")
    style = page.all("style")[0].text
    return [*found, *(f"the style says {word}" for word in ("url(", "@import", "expression(") if word in style)]


def _policy(page: Parsed) -> list[str]:
    (policy,) = (
        element.attributes["content"]
        for element in page.all("meta")
        if element.attributes.get("http-equiv") == "Content-Security-Policy"
    )
    digest = base64.b64encode(hashlib.sha256(page.all("style")[0].text.encode()).digest()).decode()
    wanted = f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    return [] if policy == wanted else [f"the policy is {policy}"]


def _names(page: Parsed) -> list[str]:
    ids = Counter(element.attributes["id"] for element in page.elements if "id" in element.attributes)
    found = [f"the id {name} is there {times} times" for name, times in ids.items() if times > 1]
    for element in page.elements:
        labels = element.attributes.get("aria-labelledby", "").split()
        found += [f"nothing has the id {name}" for name in labels if name not in ids]
        target = element.attributes.get("href", "")
        if target.startswith("#") and target[1:] not in ids:
            found.append(f"{target} leads nowhere")
        if element.tag == "img" and not element.attributes.get("alt"):
            found.append("a picture without a text")
        named = "aria-labelledby" in element.attributes or "aria-label" in element.attributes
        if element.tag == "svg" and not (element.attributes.get("aria-hidden") == "true" or named):
            found.append("a drawing without a name")
    tables = page.all("table")
    captions = page.all("caption")
    return found if len(tables) == len(captions) else [*found, f"{len(tables)} tables, {len(captions)} captions"]


def _headings(page: Parsed) -> list[str]:
    levels = [int(element.tag[1]) for element in page.elements if re.fullmatch("h[1-6]", element.tag)]
    found = [] if levels.count(1) == 1 and levels[0] == 1 else [f"headings begin {levels[:3]}"]
    jumps = [(a, b) for a, b in pairwise(levels) if b > a + 1]
    return [*found, *(f"a heading of level {b} follows one of level {a}" for a, b in jumps)]


def _landmarks(page: Parsed) -> list[str]:
    return [f"{len(page.all(tag))} <{tag}>" for tag in ("main", "header", "footer") if len(page.all(tag)) != 1]
