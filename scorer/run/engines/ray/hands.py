"""How many units a worker holds at a time: so many that its pipeline does not run empty before it is handed more."""

from collections.abc import Collection
from dataclasses import dataclass
from itertools import islice

from scorer.intake.batches import requests_ahead
from scorer.run.engines.ray.errand import Handed
from scorer.settings import Speed

AT_LEAST = 2
"""Units: one is computed while the images of the other come in."""


@dataclass(frozen=True)
class Hands:
    """The hands of each worker of a plan.

    Attributes:
        batch_images: images a request.
        swallowed: requests that a pipeline has under way before it gives back the first one.
    """

    batch_images: int
    swallowed: int

    @classmethod
    def of(cls, speed: Speed, batch_images: int) -> "Hands":
        """With the speed of one worker: what is fetched ahead and waits its turn, and twice what is in the works."""
        return cls(batch_images, 2 * requests_ahead(speed, batch_images) + 2 * (speed.decode_threads + 1))

    def full(self, held: Collection[Handed]) -> bool:
        """Whether these suffice until the first of them is done: large units by twos, small ones by the dozen."""
        behind = sum(self._requests(one) for one in islice(held, 1, None))
        return len(held) >= AT_LEAST and behind > self.swallowed

    def _requests(self, one: Handed) -> int:
        """A unit without images takes its turn, too."""
        return max(1, -(-one.images // self.batch_images))
