"""Tells a lineage server, or a file, of each run: OpenLineage events."""

import json
import os
import uuid
from datetime import UTC, datetime
from urllib.parse import urlsplit

from scorer.run import observers
from scorer.run.observers import Account
from scorer.run.observing.events import Identity, Parent, State, event, run_uuid
from scorer.run.observing.outbox import LAST_SECONDS, Deliver, Outbox, Unserved, to_file, to_server
from scorer.settings import Lineage as Settings

RUNNING_SECONDS = 60.0
"""Between two events that say how far a run is."""

DEFAULT_PATH = "/api/v1/lineage"
"""Where lineage servers take events, where the URL says no other path."""

TELLING = frozenset({"published", "refused", "failed", "running", "share done"})
"""Outcomes that a lineage graph should know of. A run that found nothing to do moved no data."""


class Lineage(observers.Observer):
    """Observer: START when the plan stands, RUNNING once a minute, then COMPLETE, FAIL or ABORT."""

    patience = LAST_SECONDS + 0.3

    def __init__(self, settings: Settings) -> None:
        """`settings.to` is where events go."""
        self._settings = settings
        self._account: Account | None = None
        self._identity: Identity | None = None
        self._outbox = Outbox(destination(settings.to or ""), self._running, RUNNING_SECONDS)
        self._complaints: list[str] = []

    def started(self, account: Account) -> None:
        """The plan stands."""
        self._begin(account)

    def ended(self, account: Account) -> None:
        """The run is over. Raises Unserved with what was not delivered."""
        if account.outcome in TELLING or self._account is not None:  # what has begun is to end
            if self._account is None:
                self._begin(account)
            self._account = None
            self._put(_final(account), account)
        lost = self._outbox.close(LAST_SECONDS)
        if complaints := [*self._complaints, *([lost] if lost else [])]:
            raise Unserved("; ".join(complaints))

    def _begin(self, account: Account) -> None:
        run = run_uuid(account.start) if account.start is not None else str(uuid.uuid4())
        parent = self._parent(self._settings.parent or os.environ.get("OPENLINEAGE_PARENT_ID"))
        root = self._parent(os.environ.get("OPENLINEAGE_ROOT_PARENT_ID"))
        self._identity = Identity(run, self._settings, parent, root)
        self._put("START", account, account.began)
        self._account = account

    def _parent(self, text: str | None) -> Parent | None:
        try:
            return Parent.read(text) if text else None
        except ValueError:
            self._complaints.append(f"the parent {text!r} is not NAMESPACE/JOB/UUID and was left out")
            return None

    def _put(self, state: State, account: Account, when: datetime | None = None) -> None:
        self._outbox.put(self._message(state, account, when or account.ended or datetime.now(UTC)))

    def _message(self, state: State, account: Account, when: datetime) -> bytes:
        assert self._identity is not None
        return json.dumps(event(state, when, account, self._identity)).encode()

    def _running(self) -> bytes | None:
        account = self._account
        return None if account is None else self._message("RUNNING", account, datetime.now(UTC))


def destination(to: str) -> Deliver:
    """A server by its URL, or a local file."""
    parts = urlsplit(to)
    if parts.scheme not in ("http", "https"):
        return to_file(to)
    key = os.environ.get("OPENLINEAGE_API_KEY")
    url = to if parts.path.strip("/") else to.rstrip("/") + DEFAULT_PATH
    return to_server(url, {"Authorization": f"Bearer {key}"} if key else {})


def _final(account: Account) -> State:
    if account.outcome in ("published", "published already", "share done"):
        return "COMPLETE"
    return "ABORT" if account.outcome == "failed" and account.tools.stop.asked else "FAIL"
