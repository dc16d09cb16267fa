"""The one place where YAML, environment and flags become settings."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from scorer.errors import SettingsError
from scorer.settings.base import Settings

ENVIRONMENT_PREFIX = "SCORER_"

LISTS = ("tuple_type", "list_type", "frozen_set_type", "set_type")
"""What pydantic calls the problem where a list was expected."""

Model = TypeVar("Model", bound=Settings)


def load(
    kind: type[Model],
    *,
    file: Path | None = None,
    environ: Mapping[str, str] = os.environ,
    flags: Mapping[str, Any] | None = None,
    besides: type[Settings] | None = None,
    without: Sequence[str] = (),
) -> Model:
    """Settings of the given kind from a YAML file, the environment and flags, the later the stronger.

    Args:
        kind: the settings class.
        file: YAML; nested as the class is.
        environ: `SCORER_LISTINGS=...`, nested by two underscores: `SCORER_SPEED__BATCH_IMAGES=128`.
        flags: by dotted name, `{"speed.batch_images": "128"}`; None values are skipped.
        besides: settings of this class are passed over, so that one file or environment serves two commands.
        without: settings that are passed over, whoever gives them, because this command has no use for them.

    Raises:
        SettingsError: naming each setting that is unknown or malformed, and where it came from.
    """
    merged: dict[str, Any] = {}
    _merge(merged, _from_file(file) if file else {})
    for name, text in environ.items():
        if name.startswith(ENVIRONMENT_PREFIX):
            _put(merged, name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__"), _parsed(text))
    for name, value in (flags or {}).items():
        if value is not None:
            _put(merged, name.split("."), _parsed(value) if isinstance(value, str) else value)
    if besides is not None:
        passed_over = besides.model_fields.keys() - kind.model_fields.keys()
        merged = {name: value for name, value in merged.items() if name not in passed_over}
    merged = {name: value for name, value in merged.items() if name not in without}
    try:
        return kind.model_validate(merged)
    except ValidationError as error:
        raise SettingsError(_explain(kind, error)) from None


def _from_file(file: Path) -> dict[str, Any]:
    import yaml

    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError(f"The settings file {file} cannot be read: {error}. Nothing was started.") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise SettingsError(f"The settings file {file} must hold names and values, not a {type(values).__name__}.")
    return values


def _merge(into: dict[str, Any], values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        inner = into.get(name)
        if isinstance(value, dict) and isinstance(inner, dict):
            _merge(inner, value)
        else:
            into[name] = value


def _put(into: dict[str, Any], path: list[str], value: Any) -> None:
    for step in path[:-1]:
        inner = into.get(step)
        if not isinstance(inner, dict):
            inner = into[step] = {}
        into = inner
    into[path[-1]] = value


def _parsed(text: str) -> Any:
    """JSON lists and objects stay such (`["a","b"]`, `{"zip": 3}`); pydantic finds the type of every other text."""
    if text.startswith(("[", "{")):
        try:
            return json.loads(text)
        except json.JSONDecodeError:
            return text
    return text


def _explain(kind: type[Settings], error: ValidationError) -> str:
    problems: dict[str, list[str]] = {}
    for problem in error.errors(include_url=False):
        path = problem["loc"]
        group, name = _group(kind, path)
        if problem["type"] == "extra_forbidden":
            said = f"unknown setting. Known here: {', '.join(sorted(group.model_fields))}."
            name = ".".join(str(step) for step in path)
        elif problem["type"] == "missing":
            said = "required, but not given."
        else:
            given = re.sub(r"//[^/@]*@", "//...@", str(problem["input"])[:80])  # a password in a URL
            said = f"{problem['msg']} (got {given!r})."
            if problem["type"] in LISTS and isinstance(problem["input"], str):
                said = f"a list is written as {json.dumps([given])} (got {given!r})."
            elif problem["type"] == "time_delta_parsing":
                said = f"a length of time is written as 7d, 12h or 30m (got {given!r})."
            elif problem["type"] == "string_pattern_mismatch" and path[-1] in group.model_fields:
                meaning = " ".join((group.model_fields[str(path[-1])].description or "").split())
                said = f"{given!r} is not of its form. {meaning}"
        problems.setdefault(name, []).append(said)
    lines = [f"  {name}: {' Or: '.join(said)}" for name, said in problems.items()]
    return "\n".join([f"The settings do not fit ({kind.__name__}). Nothing was started.", *lines])


def _group(kind: type[Settings], path: tuple[int | str, ...]) -> tuple[type[Settings], str]:
    """The group that a problem is in, and the setting's dotted name without what pydantic adds for alternatives."""
    names = []
    for step in path:
        if str(step) not in kind.model_fields:
            break
        names.append(str(step))
        annotation = kind.model_fields[str(step)].annotation
        if not (isinstance(annotation, type) and issubclass(annotation, Settings)):
            break
        kind = annotation
    return kind, ".".join(names) or ".".join(str(step) for step in path)
