"""docs/settings.md, generated from the classes: `python -m scorer.run.reference docs/settings.md` writes it."""

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from scorer import settings
from scorer.settings import CHANGES_NO_SCORE, Job, Settings

INTRODUCTION = """\
# Settings

<!-- Generated from the classes by `make schemas`; change the docstrings in scorer/settings/ instead. -->

Every command takes its settings from a YAML file (`--job`), the environment and flags, each stronger than the one
before. A nested name takes a dot in flags, two underscores in the environment, and an indented block in YAML:

```sh
scorer score --job job.yaml --set speed.fetch_concurrency=64
SCORER_SPEED__FETCH_CONCURRENCY=64 scorer score --job job.yaml
```

An unknown name is refused (exit 2). Settings marked *re-scores* take part in the identity of the work: after a change
of one of them, a partition that is published is scored again. All others may be changed freely.
"""

BOUNDS = {
    "exclusiveMinimum": "above",
    "minimum": "at least",
    "exclusiveMaximum": "below",
    "maximum": "at most",
    "minLength": "characters: at least",
    "maxLength": "characters: at most",
}
NAMES = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false", "object": "group"}
SECONDS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}


@dataclass(frozen=True)
class Group:
    """The settings of one class in one place of a job.

    Attributes:
        kind: its class.
        path: dotted name of the place; empty at the top.
        defaults: name -> what counts where nothing is given; PydanticUndefined where something must be.
    """

    kind: type[Settings]
    path: str
    defaults: Mapping[str, Any]

    def inner(self) -> Iterator["Group"]:
        """The groups right below."""
        for name, field in self.kind.model_fields.items():
            if kind := _group(field):
                given = self.defaults[name]
                values = dict(given) if isinstance(given, Settings) else _defaults(kind)
                yield Group(kind, f"{self.path}.{name}".lstrip("."), values)

    def walk(self) -> Iterator["Group"]:
        """This group and all below it."""
        yield self
        for group in self.inner():
            yield from group.walk()


def generated(module: ModuleType = settings) -> str:
    """The page, from the classes of `module`."""
    seen: dict[tuple[type[Settings], str], str] = {}
    parts = [INTRODUCTION]
    for kind in kinds(module):
        parts.append(f"## {kind.__name__}\n\n{_sentence(kind.__doc__)}\n")
        parts += [_section(kind, group, seen) for group in Group(kind, "", _defaults(kind)).walk()]
    return "\n".join(part for part in parts if part)


def kinds(module: ModuleType) -> list[type[Settings]]:
    """The classes that are a command's settings: those that are no group of another."""
    classes = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Settings) and value.__module__.startswith(module.__name__)
    ]
    groups = {found for kind in classes for found in _mentioned(kind)}
    bases = {base for group in groups for base in group.__mro__}
    return [kind for kind in classes if kind not in bases and kind is not Settings]


def _section(kind: type[Settings], group: Group, seen: dict[tuple[type[Settings], str], str]) -> str:
    title = f"{kind.__name__}: {group.path}"
    heading = f"### {title}\n\n" if group.path else ""
    same = (group.kind, repr(group.defaults))
    if same in seen:
        return f"{heading}As in [{seen[same]}](#{_anchor(seen[same])}).\n"
    if group.path:
        seen[same] = title
        heading += f"{_sentence(group.kind.__doc__)}\n\n"
    rows = list(_rows(kind, group))
    if not rows:
        return heading.rstrip() + "\n" if heading else ""
    marked = kind is Job
    head = "| setting | type | default | what it is |" + (" re-scores |" if marked else "")
    rule = "|---|---|---|---|" + ("---|" if marked else "")
    return heading + "\n".join([head, rule, *rows]) + "\n"


def _rows(kind: type[Settings], group: Group) -> Iterator[str]:
    schema = group.kind.model_json_schema()
    for name, field in group.kind.model_fields.items():
        if _group(field):
            continue
        path = f"{group.path}.{name}".lstrip(".")
        cells = [
            f"`{path}`",
            _type(schema["properties"][name], schema.get("$defs", {})),
            _value(group.defaults[name]),
            _description(group.kind, name),
        ]
        if kind is Job:
            cells.append("" if path.partition(".")[0] in CHANGES_NO_SCORE else "yes")
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _group(field: FieldInfo) -> type[Settings] | None:
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, Settings) else None


def _mentioned(kind: type[Settings]) -> Iterator[type[Settings]]:
    """Every group that a class names in a field, lists and alternatives included."""
    waiting = [field.annotation for field in kind.model_fields.values()]
    while waiting:
        found = waiting.pop()
        if isinstance(found, type) and issubclass(found, Settings):
            yield found
        waiting += getattr(found, "__args__", ())


def _defaults(kind: type[Settings]) -> dict[str, Any]:
    return {name: field.get_default(call_default_factory=True) for name, field in kind.model_fields.items()}


def _type(property_: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    if name := property_.get("$ref"):
        property_ = definitions[name.rpartition("/")[2]]
    if choices := property_.get("enum") or ([property_["const"]] if "const" in property_ else None):
        return " or ".join(f"`{choice}`" for choice in choices)
    if alternatives := property_.get("anyOf"):
        return " or ".join(_type(each, definitions) for each in alternatives if each.get("type") != "null")
    if property_.get("type") == "array":
        return f"list of {_type(property_.get('items', {}), definitions)}"
    if property_.get("format") == "duration":
        return "duration"
    if isinstance(inner := property_.get("additionalProperties"), dict):
        return f"{_type(inner, definitions)} by name"
    name = NAMES.get(property_.get("type", ""), "any")
    bounds = [f"{word} {property_[bound]:,g}" for bound, word in BOUNDS.items() if bound in property_]
    return ", ".join([name, *bounds])


def _value(default: Any) -> str:
    if default is PydanticUndefined:
        return "**required**"
    if isinstance(default, timedelta):
        seconds = round(default.total_seconds())
        unit = next((unit for unit, size in SECONDS.items() if seconds % size == 0), "s")
        return f"`{seconds // SECONDS[unit]}{unit}`"
    if default is None or default in ("", (), {}, []):
        return "none"
    return f"`{default if isinstance(default, str) else json.dumps(default, default=str)}`"


def _description(kind: type[Settings], name: str) -> str:
    """The docstring below the setting, or below the one that it overrides."""
    for base in kind.__mro__:
        field = getattr(base, "model_fields", {}).get(name)
        if field is not None and field.description:
            return _sentence(field.description)
    return ""


def _sentence(text: str | None) -> str:
    return " ".join((text or "").split())


def _anchor(title: str) -> str:
    """As Python-Markdown and GitHub make it from a heading, as far as ours go."""
    return "".join(letter for letter in title.lower() if letter.isalnum() or letter in " _-").replace(" ", "-")


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(generated(), encoding="utf-8")
