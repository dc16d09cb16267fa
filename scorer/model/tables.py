"""Tables of plug-ins (towers, fusions, recipes, augmentations) are plain dicts; here a name is looked up in one."""

from collections.abc import Mapping
from typing import TypeVar

from scorer.errors import SettingsError

Entry = TypeVar("Entry")


def choose(table: Mapping[str, Entry], what: str, name: str) -> Entry:
    """The entry of that name. Raises SettingsError that answers a typo with the choices."""
    if name not in table:
        raise SettingsError(f"Unknown {what} {name!r}. Known: {', '.join(sorted(table))}. Nothing was started.")
    return table[name]
