"""How one job is spread over several processes or machines."""

import re
from typing import NamedTuple


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
