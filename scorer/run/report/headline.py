"""What a page says first: the verdict, why, and a handful of figures."""

from dataclasses import dataclass
from typing import Literal

from scorer.errors import PublishedByAnother, SettingsError, Transient
from scorer.output.gates.verdict import Verdict
from scorer.output.manifest import RunManifest
from scorer.pages.words import count, duration, plural, share
from scorer.run.observers import Account

Kind = Literal["good", "warned", "refused", "failed", "stopped"]

WORST_FIRST = ("fail", "overridden", "warn", "not judged", "pass")


@dataclass(frozen=True)
class Headline:
    """The verdict of a run.

    Attributes:
        kind: names colour and sign.
        word: one or two words.
        sentence: what became of the listings, and what readers see now.
        why: reasons in the order of their weight, each a finished text; empty where all went well.
        next: what to do, where there is something to do.
    """

    kind: Kind
    word: str
    sentence: str
    why: tuple[str, ...] = ()
    next: str = ""


def headline(account: Account) -> Headline:
    """The verdict of a run that is over."""
    manifest = account.manifest
    if account.outcome == "published" and manifest is not None:
        return _published(account, manifest)
    if account.outcome == "refused":
        return _refused(account, manifest)
    if account.exit_code == Transient.exit_code:
        return Headline(
            "stopped",
            "Stopped",
            f"Nothing was published of {_place(account)}; readers see what they saw before. Finished work is kept.",
            (account.error,),
            "Start the same run again: it goes on where it was.",
        )
    if account.exit_code == PublishedByAnother.exit_code:
        return Headline(
            "failed",
            "Overtaken",
            f"This run published nothing of {_place(account)}: another version became current while it worked, and that"
            " is what readers see.",
            (account.error,),
            "Nothing, unless this run's outcome should replace it.",
        )
    return Headline(
        "failed",
        "Failed",
        f"Nothing was published of {_place(account)}; readers see what they saw before.",
        (account.error,),
        _mend(account),
    )


def by_weight(verdicts: tuple[Verdict, ...]) -> tuple[Verdict, ...]:
    """What failed first, what passed last; in the gates' own order otherwise."""
    return tuple(sorted(verdicts, key=lambda verdict: WORST_FIRST.index(verdict.status)))


def figures(account: Account) -> tuple[tuple[str, str], ...]:
    """Label and value of the figures that stand below the verdict."""
    manifest = account.manifest
    ended = account.ended or account.began
    took = ("took", duration((ended - account.began).total_seconds()))
    if manifest is None:
        return (took,)
    counts, profile = manifest.counts, manifest.profile
    found = [
        ("listings in", count(counts.rows_in)),
        ("scored in full", share(counts.scored, counts.rows_in)),
        ("degraded", share(counts.degraded, counts.rows_in)),
        ("without a score", count(counts.failed + counts.quarantined)),
        ("images read", count(counts.images_read)),
        took,
    ]
    if manifest.expected is not None:
        found[-1:-1] = [("rows carried", count(counts.rows_carried)), ("images known", count(counts.images_known))]
    if profile.images_per_s:
        found.append(("images a second", count(profile.images_per_s)))
    costs = account.job.costs
    if costs.price_per_hour is not None:
        price = costs.price_per_hour * (ended - account.began).total_seconds() / 3600
        found.append(("cost", f"{price:,.2f} {costs.currency}".strip()))
    return tuple(found)


def _published(account: Account, manifest: RunManifest) -> Headline:
    counts = manifest.counts
    predicted = counts.scored + counts.degraded
    seen = "is published; some readers may not see it yet" if account.error else "readers see now"
    sentence = (
        f"{count(predicted)} of {plural(counts.rows_in, 'listing')} of"
        f" {manifest.partition or manifest.listings} have a prediction that {seen}."
    )
    worth = [verdict for verdict in by_weight(manifest.verdicts) if verdict.status in ("overridden", "warn")]
    overridden = any(verdict.status == "overridden" for verdict in worth)
    reasons = tuple(_reason(verdict) for verdict in worth)
    if account.error:
        return Headline("warned", "Published, with something left to do", sentence, (account.error, *reasons))
    if not worth:
        return Headline("good", "Published", sentence)
    word = "Published, gate overridden" if overridden else "Published, with a warning"
    return Headline("warned", word, sentence, reasons)


def _refused(account: Account, manifest: RunManifest | None) -> Headline:
    failed = [verdict for verdict in manifest.verdicts if verdict.status == "fail"] if manifest else []
    sentence = f"Nothing was published of {_place(account)}; readers see what they saw before."
    if not failed:
        step = "Look at the staged files that the text names, then score again."
        return Headline("refused", "Refused", sentence, (account.error,), step)
    word = f"Refused by {plural(len(failed), 'gate')}"
    step = (
        "The work is kept. Where the change is meant, start the same run again with the gate's limit changed or with an"
        " override: nothing is scored a second time."
    )
    return Headline("refused", word, sentence, tuple(_reason(verdict) for verdict in failed), step)


def _reason(verdict: Verdict) -> str:
    why = f" Overridden by {verdict.by}: {verdict.why}" if verdict.status == "overridden" else ""
    return f"{verdict.gate}: {verdict.reason}{why}"


def _place(account: Account) -> str:
    if account.start is not None:
        return str(account.start.checked.partition)
    return account.job.partition or account.job.listings


def _mend(account: Account) -> str:
    if account.exit_code == SettingsError.exit_code:
        return "Change the settings that the text names, then start again."
    if account.exit_code == 70:
        return "This is a bug of scorer's, not of the data. Please report the text."
    return "The text says what to change. Starting again without a change fails again."
