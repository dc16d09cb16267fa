"""A process that dies at a call, played within this one."""

from typing import Any

import pytest


class Died(BaseException):
    """The process is gone from here on."""


def dies(monkeypatch: pytest.MonkeyPatch, of: type, name: str, *, after: bool) -> None:
    """The process dies at this call, before or after it did its work; the next one lives."""
    whole = getattr(of, name)

    def dying(self: Any, *args: Any, **named: Any) -> Any:
        monkeypatch.setattr(of, name, whole)
        if after:
            whole(self, *args, **named)
        raise Died

    monkeypatch.setattr(of, name, dying)
