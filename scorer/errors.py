"""Every error this package raises: transient or terminal by its type, with the exit code it ends a run with.

All of them take one finished sentence and nothing else, so they survive pickling between processes.
"""


class ScorerError(Exception):
    """Base of all. Raised as such it is a bug of ours."""

    exit_code = 70


class Transient(ScorerError):
    """Starting the same run again may succeed; finished units are kept.

    Nothing was published, unless the text says that it is: then only copies and tables that show it are left to do.
    """

    exit_code = 75


class Terminal(ScorerError):
    """Starting again without a change fails again; nothing was published, unless the text says that it is."""

    exit_code = 3


class StoreUnreachable(Transient):
    """The object store did not answer, throttled beyond the retries, or broke off its answers."""


class Throttled(StoreUnreachable):
    """The store asks for fewer requests (503 SlowDown, 429)."""


class CredentialsRefused(StoreUnreachable):
    """The store does not accept our credentials: it speaks of us, not of the object, so it degrades no row."""


class InputChanged(Transient):
    """An input object is no longer the one that was planned."""


class StagingGone(Transient):
    """What this run had staged was removed meanwhile (`scorer gc` with too short an age, or by hand)."""


class WorkersLost(Transient):
    """The cluster gave no worker for too long, or one unit took several workers along."""


class Interrupted(Transient):
    """The run was asked to stop (SIGTERM, SIGINT)."""


class SettingsError(Terminal):
    """A setting is unknown, malformed or contradicts another one; nothing was read."""

    exit_code = 2


class TableGone(SettingsError):
    """The table that shows what was published is not in its catalog any more."""


class TableDiffers(TableGone):
    """It has other columns now than the files were made for, or another table has its name."""


class InputError(Terminal):
    """The listings cannot be read."""


class ContractError(InputError):
    """The listings can be read but are not what the contract or the bundle says."""


class BundleError(Terminal):
    """The bundle is damaged, unsafe, unknown in its format, or does not reproduce its golden rows."""


class NotFound(Terminal):
    """No object or file at this place."""


class Forbidden(Terminal):
    """The store refuses access to this place, or the settings do."""


class TooLarge(Terminal):
    """The object is larger than the caller's limit in bytes."""


class PreconditionFailed(Terminal):
    """The object at this place is not the one that the caller knew (If-Match, If-None-Match)."""


class AuditError(Terminal):
    """What was written does not add up; it stays staged and unpublished."""

    exit_code = 4


class GateError(AuditError):
    """A gate refuses the run; it stays staged and unpublished, with a manifest that holds every verdict."""


class PublishedByAnother(Terminal):
    """Another run published this partition in the meantime."""

    exit_code = 5


class NothingToDo(ScorerError):
    """There is nothing to score: no partition, or no row in it."""

    exit_code = 99


class ShareDone(ScorerError):
    """Not a failure: this shard's units are finished, others' are not. Nothing is published yet; the last one does."""

    exit_code = 0


class ImageFault(Exception):
    """One image cannot be used. It costs its own listing this image and touches nothing else.

    Attributes:
        reason: one of the image reasons that schemas/predictions.odcs.yaml lists.
        detail: what exactly, for logs and the quarantine; never shown as markup.
        transient: whether another try may succeed: the store was at fault, not the image.
    """

    def __init__(self, reason: str, detail: str, transient: bool = False) -> None:
        super().__init__(reason, detail, transient)
        self.reason = reason
        self.detail = detail
        self.transient = transient

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"
