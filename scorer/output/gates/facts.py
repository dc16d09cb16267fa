"""What gates judge by: this run, the training, and what was published before."""

from dataclasses import dataclass

from scorer.output.distribution import Distributions
from scorer.output.tally import Tally


@dataclass(frozen=True)
class Earlier:
    """A published run to compare with.

    Attributes:
        partition: whose; empty where there are no partitions.
        run_id: which run.
        bundle_digest: what it was scored by.
        counts: its rows and images.
        distributions: of its features, scores and images.
    """

    partition: str
    run_id: str
    bundle_digest: str
    counts: Tally
    distributions: Distributions

    def __str__(self) -> str:
        return self.partition or f"run {self.run_id}"


@dataclass(frozen=True)
class Facts:
    """One run on the point of being published.

    Attributes:
        bundle_digest: what it was scored by.
        counts: its rows and images; every row is accounted for, the audit has seen to that.
        distributions: of its features, scores and images.
        training: the same of the bundle's training; empty where the bundle does not tell.
        earlier: what was published before: the current version of this very partition, that of the latest partition
            before it, that of the one seven days before; those that there are, each once.
        input_age: hours since the newest input file was written; None if nobody asked.
    """

    bundle_digest: str
    counts: Tally
    distributions: Distributions
    training: Distributions
    earlier: tuple[Earlier, ...] = ()
    input_age: float | None = None

    @property
    def last(self) -> Earlier | None:
        """The nearest of them: what readers see of this partition, else the partition before."""
        return self.earlier[0] if self.earlier else None
