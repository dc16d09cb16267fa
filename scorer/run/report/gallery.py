"""Groups of listings with their pictures: the highest, the lowest, those that moved most."""

from collections.abc import Sequence
from dataclasses import dataclass

from scorer.objectstore import ObjectStore
from scorer.output.manifest import OutputFile
from scorer.pages.words import count, number
from scorer.run.report.listings import Shown, Survey, images_of, survey
from scorer.run.report.thumbnails import Thumbnail, thumbnails
from scorer.run.start import Start


@dataclass(frozen=True)
class Card:
    """One listing and its picture."""

    listing: Shown
    picture: Thumbnail

    @property
    def move(self) -> float | None:
        """What its prediction moved by, as a share of what it was; None if it is not compared, or was 0."""
        before = self.listing.before
        return None if not before else (self.listing.prediction - before) / abs(before)


@dataclass(frozen=True)
class Group:
    """Cards under one heading; `text` says what is seen, or why nothing is."""

    title: str
    text: str
    cards: tuple[Card, ...]


@dataclass(frozen=True)
class Gallery:
    """What one look at a run's predictions gave."""

    survey: Survey
    groups: tuple[Group, ...]


def gallery(
    start: Start, files: Sequence[OutputFile], before: Sequence[OutputFile], last_name: str, number_each: int
) -> Gallery:
    """Choose the listings and fetch a picture for each.

    Args:
        start: of the run; its job says which images may be read and what they may cost.
        files: the run's predictions.
        before: the last run's.
        last_name: of the last run, for people.
        number_each: listings in a group; 0: no picture is fetched.

    Raises:
        InputChanged, StoreUnreachable and others: the predictions or the listings cannot be read.
    """
    store: ObjectStore = start.tools.store
    found = survey(files, before, number_each, store)
    chosen = dict.fromkeys(one.listing_id for one in (*found.highest, *found.lowest, *found.changed))
    if not chosen:
        return Gallery(found, ())
    uris = images_of(chosen, start.checked.partition, store)
    pictures = thumbnails(
        {listing: uris.get(listing, []) for listing in chosen}, start.checked.partition.base, start.job, store
    )

    def cards(listings: Sequence[Shown]) -> tuple[Card, ...]:
        return tuple(Card(one, pictures[one.listing_id]) for one in listings)

    return Gallery(
        found,
        (
            Group("Highest predictions", "", cards(found.highest)),
            Group("Lowest predictions", "", cards(found.lowest)),
            Group("Moved most", _moved(found, last_name), cards(found.changed)),
        ),
    )


def _moved(found: Survey, last_name: str) -> str:
    if found.why_not:
        return found.why_not
    if found.moves is None:
        return f"No listing has a prediction both here and in {last_name}."
    both, middle = found.moves
    rest = f"half of them moved by {number(middle)} or less." if middle else "half of them or more did not move."
    return f"{count(both)} listings have a prediction here and in {last_name}; {rest}"
