"""What a run works with besides its job."""

from dataclasses import dataclass, field

from scorer.objectstore import ObjectStore
from scorer.run.stop import Stop
from scorer.telemetry import Reporter, Stages


@dataclass(frozen=True)
class Tools:
    """The store, a voice, timers, and an ear for signals."""

    store: ObjectStore = field(default_factory=ObjectStore)
    reporter: Reporter = field(default_factory=Reporter)
    stages: Stages = field(default_factory=Stages)
    stop: Stop = field(default_factory=Stop)
