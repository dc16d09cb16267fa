"""How one job is spread over several processes or machines."""

import re
from typing import Literal, NamedTuple

from pydantic import Field

from scorer.settings.base import Settings

Engine = Literal["local", "ray"]
"""Who scores the work units."""


class Ray(Settings):
    """The Ray cluster that work units are spread over, where `engine` is ray."""

    address: str = "local"
    """local: this machine alone, for the time of the run. auto: the cluster that this process is part of, as in a Ray
    job. Or HOST:PORT of its head."""

    workers: int = Field(0, ge=0)
    """Workers at a time; 0: as many as the cluster's nodes have room for when the run begins. More than there is room
    for wait until the cluster grows."""

    cores: int = Field(2, gt=0)
    """Cores of each worker, of one node."""

    gpus: int = Field(0, ge=0)
    """GPUs of each worker, of one node."""


class Shard(NamedTuple):
    """One of `of` equal shares of a partition's work units, counted from 0; written 0/3, 1/3, 2/3."""

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    @classmethod
    def read(cls, text: str) -> "Shard":
        """From its text. Raises ValueError."""
        found = re.fullmatch(r"(\d{1,5})/(\d{1,5})", text)
        if found is None or int(found[1]) >= int(found[2]):
            raise ValueError("a shard is NUMBER/OF, counted from 0: 0/3, 1/3 and 2/3 are three shards")
        return cls(int(found[1]), int(found[2]))
